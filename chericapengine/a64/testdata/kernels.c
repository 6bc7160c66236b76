// Kernels of the benchmarks and tests. The table comes first, so that kernel n begins at
// 4*n. Made by: sh make.sh
#include <stddef.h>
#include <stdint.h>

__asm__(".section .text.table, \"ax\"\n"
        "b matmul\n"
        "b busy\n"
        "b collatz\n"
        "b sieve\n"
        "b copy\n"
        "b daxpy\n"
        "b fib\n"
        ".text\n");

void matmul(const int64_t *a, const int64_t *b, int64_t *c, int n) {
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      int64_t s = 0;
      for (int k = 0; k < n; k++) s += a[i * n + k] * b[k * n + j];
      c[i * n + j] = s;
    }
}

uint64_t busy(uint64_t n) {
  uint64_t x = 0x123456789abcdef;
  for (uint64_t i = 0; i < n; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  return x;
}

uint64_t collatz(uint64_t n) {
  uint64_t steps = 0;
  for (uint64_t i = 1; i < n; i++)
    for (uint64_t v = i; v != 1; steps++) v = v & 1 ? 3 * v + 1 : v / 2;
  return steps;
}

uint32_t sieve(uint8_t *composite, uint32_t n) {
  uint32_t primes = 0;
  for (uint32_t i = 2; i < n; i++) {
    if (composite[i]) continue;
    primes++;
    for (uint32_t j = i * 2; j < n; j += i) composite[j] = 1;
  }
  return primes;
}

void copy(uint8_t *to, const uint8_t *from, size_t n) {
  for (size_t i = 0; i < n; i++) to[i] = from[i] ^ 0x5a;
}

void daxpy(double *y, const double *x, double a, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

uint64_t fib(uint64_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
