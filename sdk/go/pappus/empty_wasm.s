// mainMain in platform_wasip1.go has no body: that takes a file of this kind.
