// SPDX-License-Identifier: GPL-2.0-or-later

// Package ifbrick is the brick "if" (manual 4.5): the block device that users
// see. It has one input, where the requests go, and no output.
//
// # Life cycle
//
//	b, err := ifbrick.New(g, e, "/mars/resource-lv/device-a", ifbrick.Params{DeviceName: "lv", Size: size})
//	brick.Connect(b.Input(0), logger.Output(0))
//	b.Press(true)  // LED on: the device is there
//	b.Press(false) // LED off: it is gone, nothing is in flight
//
// Switching on makes the device, or takes over the one that survived a
// predecessor. If there is one that can not be taken over it is cleaned up, and
// it is tried once more. After any other failure what is there is left as it is:
// the brick is off, Err tells why, and pressing the button tries again. The device
// is there only while the brick serves it: until the logs are recovered there is
// none, and users of one that survived wait.
//
// Switching off waits while the device is open: both LEDs are dark, requests
// are served as ever, and pressing the button on makes it just on again. It
// is closed when the open count has dropped to 0 and nothing is in flight.
// ForceOff closes it whatever its users do. Leave is for the end of the process:
// as switching off, but what is open is left to the next process.
//
// Resize makes the device larger; where its capacity can not change while it is
// open (ublk before kernel 6.16) it is made anew when it was closed, see Waiting.
//
// # The open count
//
// Who has a block device open is known to the kernel alone, and ublk and loop do
// not tell their servers. So OpenCount is what the environment has found out: how,
// how soon, and what can fool it is told by the packages ublkfront and fuseloop.
// In short, from the most to the least certain:
//
//   - the driver's own word when it is asked to end a device (ublk, kernel 7.0);
//   - an exclusive open, which fails for whatever mounted, swaps on, or stacks on
//     the device, in any name space, lazily unmounted included, and not for plain
//     openers;
//   - file systems in the mount tables, holders in sysfs: who it is, for people;
//   - descriptors in /proc: plain openers, as of a moment; those that /proc does
//     not show (foreign PID name spaces above ours) are not seen.
//
// OpenCount may be old by about a second. It is for people and for deciding when
// to try: nothing rests on it. What decides is Close, which looks anew and refuses
// (env.ErrInUse) while the device is open; the brick then stays, tells the count
// and tries again. Probe looks at once. A plain opener that comes between that
// look and the end sees IO errors, as of a disk that was pulled: no data that was
// answered is lost by it.
//
// # Requests
//
// A request becomes one mref, or several when Get shortens them; at most 64 of
// one request are in flight at a time. It is answered when all are done, with
// the error of the first that failed, as it is. A request that is out of
// bounds or crooked is refused without going anywhere. Nothing is merged,
// retried, cached or delayed here. FUA, flush, discard and write-zeroes are
// passed on as what they are; a flush promises durability (unlike the original's).
//
// # Invariants
//
//   - Every request is answered exactly once.
//   - In the steady state a request allocates nothing: what belongs to it is
//     kept with the request (env.DevRequest.User), mrefs are pooled.
//   - LED off means: no device, no request, no mref, no timer.
//
// A brick lives on the executor of its graph.
package ifbrick
