/* Kernels on which the cost of metering is measured: small programs of the
 * kinds that functions are made of. Each export runs its kernel n times and
 * returns a checksum, so that no work can be left out. Nothing is imported. */
#include <stddef.h>
#include <stdint.h>

#define KERNEL(name) __attribute__((export_name(#name))) uint64_t name(uint32_t n)

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	return __builtin_memcpy(to, from, n);
}

void *memset(void *to, int c, size_t n)
{
	return __builtin_memset(to, c, n);
}

static uint64_t state = 88172645463325252u;

static uint32_t random32(void) /* xorshift64 */
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

static uint8_t text[64 << 10];

static void fill_text(void)
{
	static const char words[] = "the of and to in that is was he for it with as his on be at by had not are but from";
	size_t w = 0;
	state = 1;
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = (uint8_t)words[w++];
		if (w == sizeof(words) - 1 || words[w] == ' ') {
			if (++i < sizeof(text))
				text[i] = random32() % 12 ? ' ' : '\n';
			w = random32() % (sizeof(words) - 1);
		}
	}
}

/* Calls: the naive recursion, of several numbers so that no compiler does it
 * once for all rounds. */
static uint32_t fibonacci(uint32_t n)
{
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

KERNEL(fib)
{
	uint64_t sum = 0;
	while (n--)
		sum += fibonacci(20 + n % 2);
	return sum;
}

/* Bytes and strides: primes below 64 Ki. */
KERNEL(sieve)
{
	static uint8_t composite[1 << 16];
	uint64_t sum = 0;
	while (n--) {
		memset(composite, 0, sizeof(composite));
		for (uint32_t i = 2; i < sizeof(composite); i++) {
			if (composite[i])
				continue;
			sum += i;
			for (uint32_t j = i * 2; j < sizeof(composite); j += i)
				composite[j] = 1;
		}
	}
	return sum;
}

/* Integers: the product of a 64 × 64 matrix and its transpose. */
KERNEL(matmul)
{
	enum { SIZE = 64 };
	static int64_t a[SIZE][SIZE], b[SIZE][SIZE];
	for (int i = 0; i < SIZE * SIZE; i++)
		a[i / SIZE][i % SIZE] = i;
	while (n--)
		for (int i = 0; i < SIZE; i++)
			for (int j = 0; j < SIZE; j++) {
				int64_t sum = 0;
				for (int k = 0; k < SIZE; k++)
					sum += a[i][k] * a[j][k];
				b[i][j] = sum;
			}
	return (uint64_t)b[3][5];
}

/* Hashing: SHA-256 of 16 KiB. */
static uint32_t rotate(uint32_t x, int by)
{
	return x >> by | x << (32 - by);
}

KERNEL(sha256)
{
	static uint32_t k[64], h[8];
	for (uint32_t i = 0; i < 64; i++) /* any constants take the same time */
		k[i] = (i + 1) * 2654435761u;
	fill_text();
	while (n--)
		for (size_t at = 0; at < 16 << 10; at += 64) {
			uint32_t w[64], s[8];
			for (int i = 0; i < 16; i++)
				w[i] = (uint32_t)text[at + 4 * i] << 24 | (uint32_t)text[at + 4 * i + 1] << 16 | (uint32_t)text[at + 4 * i + 2] << 8 | text[at + 4 * i + 3];
			for (int i = 16; i < 64; i++)
				w[i] = w[i - 16] + w[i - 7] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
				       (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
			memcpy(s, h, sizeof(s));
			for (int i = 0; i < 64; i++) {
				uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
				uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
				s[7] = s[6], s[6] = s[5], s[5] = s[4], s[4] = s[3] + t1;
				s[3] = s[2], s[2] = s[1], s[1] = s[0], s[0] = t1 + t2;
			}
			for (int i = 0; i < 8; i++)
				h[i] += s[i];
		}
	return (uint64_t)h[0] << 32 | h[1];
}

/* A short dependent loop: CRC-32 of 64 KiB by a table. */
KERNEL(crc32)
{
	static uint32_t table[256];
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
		table[i] = c;
	}
	fill_text();
	uint32_t c = ~0u;
	while (n--)
		for (size_t i = 0; i < sizeof(text); i++)
			c = table[(c ^ text[i]) & 255] ^ c >> 8;
	return c;
}

/* Branches: quicksort of 4,096 random numbers. */
static void quicksort(uint32_t *a, int lo, int hi)
{
	while (lo < hi) {
		uint32_t pivot = a[(lo + hi) / 2];
		int i = lo, j = hi;
		while (i <= j) {
			while (a[i] < pivot)
				i++;
			while (pivot < a[j])
				j--;
			if (i <= j) {
				uint32_t t = a[i];
				a[i++] = a[j];
				a[j--] = t;
			}
		}
		quicksort(a, lo, j);
		lo = i;
	}
}

KERNEL(sort)
{
	static uint32_t numbers[4096];
	uint64_t sum = 0;
	state = 5;
	while (n--) {
		for (size_t i = 0; i < 4096; i++)
			numbers[i] = random32();
		quicksort(numbers, 0, 4095);
		sum += numbers[1000];
	}
	return sum;
}

/* Words: counts them in a hash table. */
KERNEL(words)
{
	static struct { uint32_t hash, count; } table[1024];
	uint64_t distinct = 0;
	fill_text();
	while (n--) {
		memset(table, 0, sizeof(table));
		uint32_t hash = 0;
		for (size_t i = 0; i < sizeof(text); i++) {
			uint8_t c = text[i];
			if (c > ' ') {
				hash = (hash ^ c) * 16777619u;
				continue;
			}
			if (hash) {
				uint32_t at = hash & 1023;
				while (table[at].count && table[at].hash != hash)
					at = (at + 1) & 1023;
				distinct += !table[at].count;
				table[at].hash = hash;
				table[at].count++;
			}
			hash = 0;
		}
	}
	return distinct;
}

/* Dynamic programming: the edit distance of two texts of 256 bytes. */
KERNEL(distance)
{
	enum { LENGTH = 256 };
	static uint16_t row[LENGTH + 1];
	uint64_t sum = 0;
	fill_text();
	while (n--) {
		for (int j = 0; j <= LENGTH; j++)
			row[j] = (uint16_t)j;
		for (int i = 1; i <= LENGTH; i++) {
			uint16_t diagonal = row[0];
			row[0] = (uint16_t)i;
			for (int j = 1; j <= LENGTH; j++) {
				uint16_t best = (uint16_t)(diagonal + (text[i] != text[5000 + j]));
				if (row[j] + 1 < best)
					best = (uint16_t)(row[j] + 1);
				if (row[j - 1] + 1 < best)
					best = (uint16_t)(row[j - 1] + 1);
				diagonal = row[j];
				row[j] = best;
			}
		}
		sum += row[LENGTH];
	}
	return sum;
}

/* An interpreter: a loop around a switch. */
KERNEL(interpreter)
{
	enum { PUSH, ADD, MUL, DUP, SWAP, DROP, JUMP, DEC };
	static const uint8_t program[] = {PUSH, 3, DUP, ADD, PUSH, 7, MUL, DUP, PUSH, 1, ADD, SWAP, DROP, ADD, PUSH, 2, SWAP, DROP, DEC, JUMP};
	uint32_t stack[16] = {1}, top = 1;
	uint64_t sum = 0;
	while (n--) {
		uint32_t left = 500;
		for (size_t pc = 0;;) {
			switch (program[pc++]) {
			case PUSH: stack[top++ & 15] = program[pc++]; break;
			case ADD: top--; stack[(top - 1) & 15] += stack[top & 15]; break;
			case MUL: top--; stack[(top - 1) & 15] *= stack[top & 15]; break;
			case DUP: stack[top & 15] = stack[(top - 1) & 15]; top++; break;
			case SWAP: {
				uint32_t t = stack[(top - 1) & 15];
				stack[(top - 1) & 15] = stack[(top - 2) & 15];
				stack[(top - 2) & 15] = t;
				break;
			}
			case DROP: top--; break;
			case DEC: left--; break;
			case JUMP: pc = 0; break;
			}
			if (!left)
				break;
		}
		sum += stack[0];
	}
	return sum;
}

/* Floats: bodies that attract each other. */
KERNEL(bodies)
{
	enum { COUNT = 5 };
	static double at[COUNT][3], speed[COUNT][3], mass[COUNT];
	for (int i = 0; i < COUNT; i++) {
		mass[i] = 1 + i;
		for (int d = 0; d < 3; d++)
			at[i][d] = (i + 1) * (d + 2) * 0.7, speed[i][d] = (i - d) * 0.01;
	}
	while (n--)
		for (int step = 0; step < 100; step++) {
			for (int i = 0; i < COUNT; i++)
				for (int j = i + 1; j < COUNT; j++) {
					double delta[3], square = 0.01;
					for (int d = 0; d < 3; d++) {
						delta[d] = at[i][d] - at[j][d];
						square += delta[d] * delta[d];
					}
					double force = 0.001 / (square * __builtin_sqrt(square));
					for (int d = 0; d < 3; d++) {
						speed[i][d] -= delta[d] * mass[j] * force;
						speed[j][d] += delta[d] * mass[i] * force;
					}
				}
			for (int i = 0; i < COUNT; i++)
				for (int d = 0; d < 3; d++)
					at[i][d] += 0.001 * speed[i][d];
		}
	return (uint64_t)(at[0][0] * 1e6);
}

/* Floats: how fast points of the plane escape. */
KERNEL(mandelbrot)
{
	uint64_t sum = 0;
	while (n--)
		for (int y = 0; y < 32; y++)
			for (int x = 0; x < 32; x++) {
				double cr = x / 12.0 - 2, ci = y / 16.0 - 1, zr = 0, zi = 0;
				int i = 0;
				while (i < 100 && zr * zr + zi * zi < 4) {
					double t = zr * zr - zi * zi + cr;
					zi = 2 * zr * zi + ci;
					zr = t;
					i++;
				}
				sum += (uint64_t)i;
			}
	return sum;
}

/* Memory: blocks of 4 KiB are copied about. */
KERNEL(copy)
{
	fill_text();
	while (n--)
		for (int i = 0; i < 15; i++)
			memcpy(text + (i + 1) * 4096, text + i * 4096, 4096);
	return text[60000];
}

/* Encoding: base64 of 48 KiB. */
KERNEL(base64)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static uint8_t encoded[64 << 10];
	fill_text();
	while (n--)
		for (size_t i = 0, o = 0; i < 48 << 10; i += 3, o += 4) {
			uint32_t v = (uint32_t)text[i] << 16 | (uint32_t)text[i + 1] << 8 | text[i + 2];
			encoded[o] = (uint8_t)alphabet[v >> 18];
			encoded[o + 1] = (uint8_t)alphabet[v >> 12 & 63];
			encoded[o + 2] = (uint8_t)alphabet[v >> 6 & 63];
			encoded[o + 3] = (uint8_t)alphabet[v & 63];
		}
	return encoded[777];
}
