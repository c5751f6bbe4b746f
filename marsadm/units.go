// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"strings"
)

func percent(part, whole int64) string {
	if whole <= 0 {
		return "100.0 %"
	}
	// In tenths, rounded down, so that 100.0 % is only shown when it is.
	tenths := int64(float64(part) / float64(whole) * 1000)
	if part < whole && tenths > 999 {
		tenths = 999
	}
	return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
}

func bar(part, whole int64) string {
	const width = 20
	n := 0
	if whole > 0 {
		n = int(float64(part) / float64(whole) * width)
	}
	n = min(max(n, 0), width)
	return fmt.Sprintf("[%s%s] %s", strings.Repeat("=", n), strings.Repeat(".", width-n), percent(part, whole))
}

// progress is rate and remaining time; nothing where there is no rate.
func progress(rest, rate int64) string {
	if rate <= 0 {
		return ""
	}
	left := rest / rate
	return fmt.Sprintf(", %s/s, %02d:%02d:%02d to go", bytesText(rate), left/3600, left/60%60, left%60)
}

// bytesText is a number of bytes for people, in powers of 1024.
func bytesText(n int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB"}
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n) / 1024
	i := 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	return fmt.Sprintf("%.3f %s", v, units[i])
}
