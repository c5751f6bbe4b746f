package translog

import "fmt"

// Columns of a logfile's name: "log-", nine digits, "-", the origin.
const (
	namePrefix = "log-"
	nameDigits = 9
	nameOrigin = len(namePrefix) + nameDigits + 1
)

// Name returns the name of logfile number (1 to 999999999) of host origin.
func Name(number int, origin string) string {
	return fmt.Sprintf("%s%0*d-%s", namePrefix, nameDigits, number, origin)
}

// ParseName is the inverse of [Name]; ok is false if name is no logfile's. It goes by columns, since an origin may
// itself contain hyphens and digits.
func ParseName(name string) (number int, origin string, ok bool) {
	if len(name) <= nameOrigin || name[:len(namePrefix)] != namePrefix || name[nameOrigin-1] != '-' {
		return 0, "", false
	}
	for _, c := range []byte(name[len(namePrefix) : nameOrigin-1]) {
		if c < '0' || c > '9' {
			return 0, "", false
		}
		number = number*10 + int(c-'0')
	}
	origin = name[nameOrigin:]
	if number < 1 || !validName(origin) {
		return 0, "", false
	}
	return number, origin, true
}
