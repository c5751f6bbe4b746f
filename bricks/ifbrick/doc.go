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
// Switching on makes the device. If that fails, what a dead predecessor left
// is cleaned up and it is tried once more; a device that survived its
// predecessor is therefore taken over, not removed. If it fails again the
// brick is off, Err tells why, and pressing the button tries again.
//
// Switching off waits while the device is open: both LEDs are dark, requests
// are served as ever, and pressing the button on makes it just on again. It
// is closed when the open count has dropped to 0 and nothing is in flight.
// ForceOff closes it whatever its users do.
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
