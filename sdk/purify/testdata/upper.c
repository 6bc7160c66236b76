/* A small program for WASI: makes the letters of its standard input capitals. */
struct piece {
	char *bytes;
	unsigned len;
};

__attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_read"))) int fd_read(int, struct piece *, int, unsigned *);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_write"))) int fd_write(int, struct piece *, int, unsigned *);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"))) _Noreturn void proc_exit(int);

static char buffer[4096];

__attribute__((export_name("_start"))) void _start(void)
{
	for (;;) {
		struct piece piece = {buffer, sizeof buffer};
		if (fd_read(0, &piece, 1, &piece.len) != 0)
			proc_exit(1);
		if (piece.len == 0)
			proc_exit(0);
		for (unsigned i = 0; i < piece.len; i++)
			if (buffer[i] >= 'a' && buffer[i] <= 'z')
				buffer[i] -= 'a' - 'A';
		if (fd_write(1, &piece, 1, &piece.len) != 0)
			proc_exit(1);
	}
}
