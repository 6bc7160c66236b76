/* Makes the calls that the item script asks for, so that tests are written in
 * Go: the calls of WASI and of the direct interface, on a piece of memory that
 * the script fills and reads.
 *
 * A script is a sequence of
 *     'P' u32 at, u32 len, bytes        writes bytes at an offset of scratch
 *     'A' u32 at, u32 offset            writes the address of an offset
 *     'G' u32 at, u32 len               appends bytes of scratch to the results
 *     'C' u8 function, u8 arguments, and for each: u8 kind, u64 value
 *                                       calls, and appends what it returns
 *     'B' u32 to, u32 from, u32 len     copies bytes of scratch
 *     'M' u32 pages                     grows the memory, and appends the size before
 * The kinds: 0 a number, 1 the address of an offset, 2 the u32 at an offset. */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define W(name, ...) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) u32 wasi_##name(__VA_ARGS__)
#define D(name, ...) __attribute__((import_module("dandelion"), import_name(#name))) u32 direct_##name(__VA_ARGS__)
#define R(name, ...) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) void wasi_##name(__VA_ARGS__)

W(args_get, u32, u32);
W(args_sizes_get, u32, u32);
W(environ_get, u32, u32);
W(environ_sizes_get, u32, u32);
W(clock_res_get, u32, u32);
W(clock_time_get, u32, u64, u32);
W(fd_advise, u32, u64, u64, u32);
W(fd_allocate, u32, u64, u64);
W(fd_close, u32);
W(fd_datasync, u32);
W(fd_fdstat_get, u32, u32);
W(fd_fdstat_set_flags, u32, u32);
W(fd_fdstat_set_rights, u32, u64, u64);
W(fd_filestat_get, u32, u32);
W(fd_filestat_set_size, u32, u64);
W(fd_filestat_set_times, u32, u64, u64, u32);
W(fd_pread, u32, u32, u32, u64, u32);
W(fd_prestat_get, u32, u32);
W(fd_prestat_dir_name, u32, u32, u32);
W(fd_pwrite, u32, u32, u32, u64, u32);
W(fd_read, u32, u32, u32, u32);
W(fd_readdir, u32, u32, u32, u64, u32);
W(fd_renumber, u32, u32);
W(fd_seek, u32, u64, u32, u32);
W(fd_sync, u32);
W(fd_tell, u32, u32);
W(fd_write, u32, u32, u32, u32);
W(path_create_directory, u32, u32, u32);
W(path_filestat_get, u32, u32, u32, u32, u32);
W(path_filestat_set_times, u32, u32, u32, u32, u64, u64, u32);
W(path_link, u32, u32, u32, u32, u32, u32, u32);
W(path_open, u32, u32, u32, u32, u32, u64, u64, u32, u32);
W(path_readlink, u32, u32, u32, u32, u32, u32);
W(path_remove_directory, u32, u32, u32);
W(path_rename, u32, u32, u32, u32, u32, u32);
W(path_symlink, u32, u32, u32, u32, u32);
W(path_unlink_file, u32, u32, u32);
W(poll_oneoff, u32, u32, u32, u32);
R(proc_exit, u32);
W(proc_raise, u32);
W(random_get, u32, u32);
W(sched_yield, void);
W(sock_accept, u32, u32, u32);
W(sock_recv, u32, u32, u32, u32, u32, u32);
W(sock_send, u32, u32, u32, u32, u32);
W(sock_shutdown, u32, u32);
D(input_set_count, void);
D(output_set_count, void);
D(input_set_ident, u32);
D(input_set_ident_len, u32);
D(output_set_ident, u32);
D(output_set_ident_len, u32);
D(input_buffer_count, u32);
D(get_input, u32, u32);
D(emit, u32, u32, u32, u32, u32, u32);
D(add_output, u32, u32, u32, u32, u32, u32);
__attribute__((import_module("dandelion"), import_name("exit"))) void direct_exit(u32);

struct item {
	const char *ident;
	u32 ident_len;
	const u8 *data;
	u32 len, key;
};

static u8 scratch[1 << 20], results[4 << 20];
static u32 used;

static void give(const void *bytes, u32 len)
{
	for (u32 i = 0; i < len; i++)
		results[used++] = ((const u8 *)bytes)[i];
}

static u32 call(u32 function, const u64 *a)
{
	switch (function) {
	case 0: return wasi_args_get(a[0], a[1]);
	case 1: return wasi_args_sizes_get(a[0], a[1]);
	case 2: return wasi_environ_get(a[0], a[1]);
	case 3: return wasi_environ_sizes_get(a[0], a[1]);
	case 4: return wasi_clock_res_get(a[0], a[1]);
	case 5: return wasi_clock_time_get(a[0], a[1], a[2]);
	case 6: return wasi_fd_advise(a[0], a[1], a[2], a[3]);
	case 7: return wasi_fd_allocate(a[0], a[1], a[2]);
	case 8: return wasi_fd_close(a[0]);
	case 9: return wasi_fd_datasync(a[0]);
	case 10: return wasi_fd_fdstat_get(a[0], a[1]);
	case 11: return wasi_fd_fdstat_set_flags(a[0], a[1]);
	case 12: return wasi_fd_fdstat_set_rights(a[0], a[1], a[2]);
	case 13: return wasi_fd_filestat_get(a[0], a[1]);
	case 14: return wasi_fd_filestat_set_size(a[0], a[1]);
	case 15: return wasi_fd_filestat_set_times(a[0], a[1], a[2], a[3]);
	case 16: return wasi_fd_pread(a[0], a[1], a[2], a[3], a[4]);
	case 17: return wasi_fd_prestat_get(a[0], a[1]);
	case 18: return wasi_fd_prestat_dir_name(a[0], a[1], a[2]);
	case 19: return wasi_fd_pwrite(a[0], a[1], a[2], a[3], a[4]);
	case 20: return wasi_fd_read(a[0], a[1], a[2], a[3]);
	case 21: return wasi_fd_readdir(a[0], a[1], a[2], a[3], a[4]);
	case 22: return wasi_fd_renumber(a[0], a[1]);
	case 23: return wasi_fd_seek(a[0], a[1], a[2], a[3]);
	case 24: return wasi_fd_sync(a[0]);
	case 25: return wasi_fd_tell(a[0], a[1]);
	case 26: return wasi_fd_write(a[0], a[1], a[2], a[3]);
	case 27: return wasi_path_create_directory(a[0], a[1], a[2]);
	case 28: return wasi_path_filestat_get(a[0], a[1], a[2], a[3], a[4]);
	case 29: return wasi_path_filestat_set_times(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	case 30: return wasi_path_link(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	case 31: return wasi_path_open(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]);
	case 32: return wasi_path_readlink(a[0], a[1], a[2], a[3], a[4], a[5]);
	case 33: return wasi_path_remove_directory(a[0], a[1], a[2]);
	case 34: return wasi_path_rename(a[0], a[1], a[2], a[3], a[4], a[5]);
	case 35: return wasi_path_symlink(a[0], a[1], a[2], a[3], a[4]);
	case 36: return wasi_path_unlink_file(a[0], a[1], a[2]);
	case 37: return wasi_poll_oneoff(a[0], a[1], a[2], a[3]);
	case 38: return wasi_proc_exit(a[0]), 0;
	case 39: return wasi_proc_raise(a[0]);
	case 40: return wasi_random_get(a[0], a[1]);
	case 41: return wasi_sched_yield();
	case 42: return wasi_sock_accept(a[0], a[1], a[2]);
	case 43: return wasi_sock_recv(a[0], a[1], a[2], a[3], a[4], a[5]);
	case 44: return wasi_sock_send(a[0], a[1], a[2], a[3], a[4]);
	case 45: return wasi_sock_shutdown(a[0], a[1]);
	case 46: return direct_input_set_count();
	case 47: return direct_output_set_count();
	case 48: return direct_input_set_ident(a[0]);
	case 49: return direct_input_set_ident_len(a[0]);
	case 50: return direct_output_set_ident(a[0]);
	case 51: return direct_output_set_ident_len(a[0]);
	case 52: return direct_input_buffer_count(a[0]);
	case 53: return direct_get_input(a[0], a[1]);
	case 54: return direct_emit(a[0], a[1], a[2], a[3], a[4], a[5]);
	case 55: return direct_add_output(a[0], a[1], a[2], a[3], a[4], a[5]);
	case 56: return direct_exit(a[0]), 0;
	case 57: __builtin_trap();
	}
	return 0xffff;
}

static const u8 *script;

static u64 next(u32 bytes)
{
	u64 v = 0;
	for (u32 i = 0; i < bytes; i++)
		v |= (u64)*script++ << 8 * i;
	return v;
}

static void put(u8 *at, u32 v)
{
	for (u32 i = 0; i < 4; i++)
		at[i] = (u8)(v >> 8 * i);
}

static u64 argument(void)
{
	u32 kind = next(1);
	u64 v = next(8);
	switch (kind) {
	case 1: return (u32)(scratch + v);
	case 2: return scratch[v] | scratch[v + 1] << 8 | scratch[v + 2] << 16 | (u32)scratch[v + 3] << 24;
	}
	return v;
}

static void run_script(const u8 *end)
{
	while (script < end) {
		u64 a[9];
		u32 at, len, v;
		switch (next(1)) {
		case 'P':
			at = next(4);
			for (len = next(4); len != 0; len--)
				scratch[at++] = *script++;
			break;
		case 'A':
			at = next(4);
			put(scratch + at, (u32)(scratch + next(4)));
			break;
		case 'G':
			at = next(4);
			give(scratch + at, next(4));
			break;
		case 'C':
			v = next(1);
			len = next(1);
			for (u32 i = 0; i < len; i++)
				a[i] = argument();
			v = call(v, a);
			give(&v, 4);
			break;
		case 'B':
			at = next(4);
			v = next(4);
			__builtin_memcpy(scratch + at, scratch + v, next(4));
			break;
		case 'M':
			v = __builtin_wasm_memory_grow(0, next(4));
			give(&v, 4);
			break;
		}
	}
}

#ifdef REACTOR
/* What a library may do before there are inputs. */
__attribute__((export_name("_initialize"))) void _initialize(void)
{
	static struct {
		const char *bytes;
		u32 len;
	} text = {"initialised\n", 12};
	static u32 n, count, size;
	static u64 now;
	wasi_fd_write(1, (u32)&text, 1, (u32)&n);
	wasi_fd_write(2, (u32)&text, 1, (u32)&n);
	for (u32 i = 0; i < 3; i++)
		wasi_clock_time_get(0, 0, (u32)&now);
	wasi_args_sizes_get((u32)&count, (u32)&size);
	wasi_path_create_directory(3, (u32) "tmp/made", 8);
	wasi_path_open(3, 0, (u32) "tmp/made/file", 13, 1, 66, 66, 0, (u32)&count); /* 4 */
	wasi_fd_write(4, (u32)&text, 1, (u32)&n);
	wasi_path_create_directory(3, (u32) "out", 3);
	wasi_path_open(3, 0, (u32) "out/early", 9, 1, 66, 66, 0, (u32)&count); /* 5 */
	wasi_fd_write(5, (u32)&text, 1, (u32)&n);
	wasi_path_open(3, 0, (u32) "in", 2, 1, 66, 66, 0, (u32)&count); /* 6, a file where a set's directory will be */
	wasi_fd_read(0, (u32)&text, 1, (u32)&n);
	direct_emit(0, (u32) "x", 1, (u32) "x", 1, 0);
	if (n != 0 || direct_input_set_count() != 0 || __builtin_wasm_memory_grow(0, 32) == -1u)
		__builtin_trap();
}

__attribute__((export_name("run"))) void run(void)
#else
__attribute__((export_name("_start"))) void _start(void)
#endif
/* The script is the only item of the first set; results go to the last. */
{
	const struct item *item = (const struct item *)direct_get_input(0, 0);
	if (item == 0)
		return;
	script = item->data;
	run_script(item->data + item->len);
	direct_add_output(direct_output_set_count() - 1, (u32) "", 0, (u32)results, used, 0);
}

