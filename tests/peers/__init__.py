"""Outside judges and the stage they stand on: network namespaces, real HTTP servers, small helpers that run inside."""
