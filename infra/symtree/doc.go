// SPDX-License-Identifier: GPL-2.0-or-later

// Package symtree is the symlink tree of MARS: the one grammar of its names and values.
package symtree
