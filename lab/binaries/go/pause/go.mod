// What holds a pod's namespaces while its containers come and go.
module lab/pause

go 1.24

tool lab/pause
