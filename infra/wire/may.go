package wire

// May decides whether a peer may make a request. peer is the name that the
// peer's certificate proved, verb the type of the request, resource its
// resource (empty for those that have none). member tells whether a host is a
// member of a resource according to the symlink tree.
//
// The tree is for every host of the cluster; logs, blocks and digests of a
// resource are for the members of that resource only. Everything that is not a
// request is refused. The error is an *Error ready to be sent, but for its ID.
func May(peer string, verb Type, resource string, member func(resource, host string) bool) error {
	if peer == "" {
		return &Error{Code: CodeCluster, Text: "nobody"}
	}
	switch verb {
	case TypeSubscribeTree, TypeNotify:
		return nil
	case TypeFetchLog, TypeReadBlocks, TypeDigest, TypeSyncInfo:
		if resource == "" || !member(resource, peer) {
			return &Error{Code: CodeNotMember}
		}
		return nil
	}
	return &Error{Code: CodeVersion, Text: verb.String() + " is not a request"}
}
