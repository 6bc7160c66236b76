#!/bin/sh
# Makes kernels.bin (gcc -O2), vectorised.bin (gcc -O3) and driver.bin with a cross compiler.
set -e
for k in kernels:-O2 vectorised:-O3; do
  aarch64-linux-gnu-gcc ${k#*:} -ffreestanding -fno-pic -mno-outline-atomics -nostdlib -static -ffunction-sections \
    -Wl,-e,0,--build-id=none -Wl,-T,kernels.ld -o kernels.elf kernels.c
  aarch64-linux-gnu-objcopy -O binary kernels.elf "${k%%:*}.bin"
  rm kernels.elf
done
aarch64-linux-gnu-gcc -c -o driver.o driver.S
aarch64-linux-gnu-ld -Ttext=0x10000 -o driver.elf driver.o
aarch64-linux-gnu-objcopy -O binary driver.elf driver.bin
rm driver.o driver.elf
