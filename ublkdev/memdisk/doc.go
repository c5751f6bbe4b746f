// SPDX-License-Identifier: GPL-2.0-or-later

// Command memdisk serves a block device out of memory, to try package ublkdev.
//
//	memdisk [-size 64M] [-id N]      make /dev/ublkbN and serve it
//	memdisk -recover -id N           take over one whose memdisk was killed
//	memdisk -list                    show all ublk devices
//	memdisk -probe                   show what this kernel offers
//
// It needs root and the module ublk_drv. The path of the device is printed when
// it can be used. SIGINT and SIGTERM stop it unless it is in use; a second one
// stops it by force. What it held is lost with the process: after a recovery the
// device is there again, its users never saw an error, but it reads as zeroes.
package main
