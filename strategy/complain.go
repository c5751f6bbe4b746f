package strategy

// complain logs a warning about a peer, unless it did so not long ago: what a
// peer does must not fill the log.
func (n *Node) complain(peer, msg string, args ...any) { n.complainOn(peer, "", msg, args...) }

// complainOn is complain where each thing that it is about is worth a word.
func (n *Node) complainOn(peer, about, msg string, args ...any) {
	missed, ok := n.complaints.Say(peer+": "+msg+": "+about, n.env.Mono())
	if !ok {
		return
	}
	who := []any{"peer", peer}
	if missed > 0 {
		who = append(who, "more of these", missed)
	}
	n.log.Warn(msg, append(who, args...)...)
}
