package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"pappus/bench/lab/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Println(worker.Serve(ctx, os.Args[2], os.Args[3], os.Stdout))
}
