package strategy

// complain logs a warning about a peer, unless it did so not long ago: what a
// peer does must not fill the log.
func (n *Node) complain(peer, msg string, args ...any) {
	missed, ok := n.complaints.Say(peer+": "+msg, n.env.Mono())
	if !ok {
		return
	}
	args = append([]any{"peer", peer}, args...)
	if missed > 0 {
		args = append(args, "more of these", missed)
	}
	n.log.Warn(msg, args...)
}
