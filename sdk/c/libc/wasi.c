/* WASI preview 1, implemented within the module: a file system in memory, whose
 * files are the items of the function's sets.
 *
 * Every input set is a directory of the root, every item a file in it, whose
 * bytes stay where the platform placed them. What lies in the directory of an
 * output set when the program ends becomes its items. The set stdio holds
 * stdin, argv and environ, and takes stdout and stderr.
 *
 * Clocks, random numbers and inode numbers depend on nothing but the calls
 * before, so a program is a function of its inputs. Nothing here waits. */
#include "wasi.h"

#include "dandelion/runtime.h"
#include "dandelion/system/system.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

enum {
	OK = 0, EBADF = 8, EBUSY = 10, EEXIST = 20, EFBIG = 22, EILSEQ = 25, EINVAL = 28, EISDIR = 31, EMFILE = 33,
	ENAMETOOLONG = 37, ENOENT = 44, ENOSPC = 51, ENOSYS = 52, ENOTDIR = 54, ENOTEMPTY = 55, ENOTSUP = 58, EOVERFLOW = 61,
	ESPIPE = 70, ENOTCAPABLE = 76,
};

enum { CHARACTER_DEVICE = 2, DIRECTORY = 3, REGULAR_FILE = 4 }; /* file types */
enum { CREATE = 1, MUST_BE_DIRECTORY = 2, EXCLUSIVE = 4, TRUNCATE = 8 }; /* of path_open */
enum { APPEND = 1, ALL_FLAGS = 31 }; /* of descriptors */

#define RIGHT_READ ((u64)1 << 1)
#define RIGHT_WRITE ((u64)1 << 6)
#define ALL_RIGHTS (((u64)1 << 30) - 1)
#define FILE_RIGHTS ((u64)0x8e001ff)      /* what can be done with a file */
#define DIRECTORY_RIGHTS ((u64)0x7bffe19) /* with a directory */

static void copy(void *to, const void *from, u32 n) { __builtin_memcpy(to, from, n); }
static void clear(void *at, u32 n) { __builtin_memset(at, 0, n); }

static int same(const char *a, const char *b, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (a[i] != b[i])
			return 0;
	return 1;
}

static int is(const char *name, u32 len, const char *literal)
{
	u32 i = 0;
	while (i < len && literal[i] != 0 && name[i] == literal[i])
		i++;
	return i == len && literal[i] == 0;
}

/* ---- nodes ------------------------------------------------------------- */

struct node {
	struct node *parent;       /* NULL: the root, or removed, or never in a directory */
	struct node *first, *last; /* of a directory: its entries, in order of their cookies; of a file, first:
	                              the directory that stands beside it because it would have its name */
	struct node *next, *prev;  /* entries beside it */
	struct node *chain;        /* in its bucket of the index */
	const char *name;
	u32 name_len, hash;
	const IoBuffer *item;      /* that a file came from */
	char *bytes;               /* of a file */
	u32 len;
	u32 cap;                   /* of its own block; 0 while the bytes are an item's, or none */
	u32 cookie;                /* of the entry */
	u32 cookies;               /* of a directory: the last that it gave to an entry */
	u32 opens;                 /* descriptors */
	u32 inode;
	u32 unread;                /* of a directory: 1 + the input set whose items it does not have yet */
	u32 suffix;                /* last number that was tried to tell others of its name apart */
	u64 accessed, modified, changed;
	u8 type;
	u8 sink;                   /* keeps nothing of what is written */
	u8 fixed;                  /* the directory of a set, which stays */
	u8 own_name;               /* the name is a block of its own */
};

static u64 now;          /* nanoseconds */
static u32 inodes = 4;   /* the last that was given */
static struct node root = {.type = DIRECTORY, .inode = 1, .fixed = 1};
static struct node standard[3] = {{.type = REGULAR_FILE, .inode = 2}, {.type = REGULAR_FILE, .inode = 3}, {.type = REGULAR_FILE, .inode = 4}};
static u8 has_sets;      /* inputs and output sets are known */
static u8 has_tree;      /* the root has the directories that are always there */
static u8 has_set_directories;

/* The entries of all directories, by parent and name. */
static struct node *few_buckets[64];
static struct node **buckets = few_buckets;
static u32 mask = 63, entries;

static u32 hash_of(const struct node *dir, const char *name, u32 len)
{
	u32 h = 2166136261u ^ dir->inode;
	for (u32 i = 0; i < len; i++)
		h = (h ^ (u8)name[i]) * 16777619u;
	return h ^ h >> 15;
}

static struct node *entry(const struct node *dir, const char *name, u32 len)
{
	u32 h = hash_of(dir, name, len);
	for (struct node *n = buckets[h & mask]; n != NULL; n = n->chain)
		if (n->hash == h && n->parent == dir && n->name_len == len && same(n->name, name, len))
			return n;
	return NULL;
}

/* A larger index, if there is memory for it: a full one is only slower. */
static void widen(void)
{
	u32 count = (mask + 1) * 4;
	struct node **wider = dandelion_alloc(count * sizeof *wider, 16);
	if (wider == NULL)
		return;
	clear(wider, count * sizeof *wider);
	for (u32 i = 0; i <= mask; i++)
		for (struct node *n = buckets[i], *next; n != NULL; n = next) {
			next = n->chain;
			n->chain = wider[n->hash & (count - 1)];
			wider[n->hash & (count - 1)] = n;
		}
	if (buckets != few_buckets)
		dandelion_free(buckets);
	buckets = wider;
	mask = count - 1;
}

static void attach(struct node *dir, struct node *n, const char *name, u32 len)
{
	if (entries++ > mask)
		widen();
	n->name = name;
	n->name_len = len;
	n->hash = hash_of(dir, name, len);
	n->chain = buckets[n->hash & mask];
	buckets[n->hash & mask] = n;
	n->parent = dir;
	n->cookie = ++dir->cookies;
	n->next = NULL;
	n->prev = dir->last;
	if (dir->last != NULL)
		dir->last->next = n;
	else
		dir->first = n;
	dir->last = n;
}

static void detach(struct node *n)
{
	struct node *dir = n->parent, **at = &buckets[n->hash & mask];
	while (*at != n)
		at = &(*at)->chain;
	*at = n->chain;
	entries--;
	if (n->prev != NULL)
		n->prev->next = n->next;
	else
		dir->first = n->next;
	if (n->next != NULL)
		n->next->prev = n->prev;
	else
		dir->last = n->prev;
	n->parent = NULL;
}

/* A new entry; the name is copied if it is not to stay where it is. NULL when
 * there is no memory. */
static struct node *create(struct node *dir, const char *name, u32 len, u8 type, int copied)
{
	struct node *n = dandelion_alloc(sizeof *n, 16);
	if (n == NULL)
		return NULL;
	clear(n, sizeof *n);
	if (copied) {
		char *own = dandelion_alloc(len, 1);
		if (own == NULL) {
			dandelion_free(n);
			return NULL;
		}
		copy(own, name, len);
		name = own;
		n->own_name = 1;
	}
	n->type = type;
	n->inode = ++inodes;
	n->accessed = n->modified = n->changed = now;
	attach(dir, n, name, len);
	return n;
}

/* Frees a node that is in no directory and not open. */
static void forget(struct node *n)
{
	if (n->parent != NULL || n->opens != 0 || n == &root || (n >= standard && n < standard + 3))
		return;
	if (n->cap != 0)
		dandelion_free(n->bytes);
	if (n->own_name)
		dandelion_free((void *)n->name);
	dandelion_free(n);
}

static void changed(struct node *n) { n->modified = n->changed = now; }

/* ---- sets -------------------------------------------------------------- */

/* Without its inputs a program can't go on, and it would not know that they
 * are missing. */
static void give_up(void) __attribute__((noreturn));
static void give_up(void)
{
	if (!has_sets)
		__builtin_trap(); /* there is nobody yet to be told */
	__dandelion_fail(DANDELION_OUT_OF_MEMORY);
}

static struct node *must(struct node *n)
{
	if (n == NULL)
		give_up();
	return n;
}

/* Writes NAME~NUMBER, the first that does not exist in dir. */
static const char *unused(struct node *dir, const char *name, u32 len, u32 *number, u32 *full)
{
	char *text = dandelion_alloc(len + 11, 1);
	if (text == NULL)
		give_up();
	copy(text, name, len);
	text[len] = '~';
	do {
		u32 n = ++*number, digits = 0;
		for (u32 rest = n; rest != 0; rest /= 10)
			digits++;
		*full = len + 1 + digits;
		for (u32 at = *full; n != 0; n /= 10)
			text[--at] = (char)('0' + n % 10);
	} while (entry(dir, text, *full) != NULL);
	return text;
}

/* The next part of a path: what is between its slashes, but for those that
 * mean nothing. 0 at the end. */
static u32 part(const char *path, u32 len, u32 *at, const char **begin)
{
	for (;;) {
		while (*at < len && path[*at] == '/')
			++*at;
		u32 from = *at;
		while (*at < len && path[*at] != '/')
			++*at;
		*begin = path + from;
		if (*at - from != 1 || path[from] != '.')
			return *at - from;
	}
}

/* No file can have such a name: it would lie in another set's directory. */
static int climbs(const char *path, u32 len)
{
	const char *begin;
	for (u32 at = 0, n; (n = part(path, len, &at, &begin)) != 0;)
		if (n == 2 && begin[0] == '.' && begin[1] == '.')
			return 1;
	return 0;
}

/* The directory below dir that a part of an item's name stands for: where a
 * file has that name already, one beside it. */
static struct node *enter(struct node *dir, const char *name, u32 len)
{
	struct node *n = entry(dir, name, len);
	if (n == NULL)
		return must(create(dir, name, len, DIRECTORY, 0));
	if (n->type == DIRECTORY)
		return n;
	if (n->first == NULL) {
		u32 full;
		if (n->suffix == 0)
			n->suffix = 1;
		name = unused(dir, name, len, &n->suffix, &full);
		n->first = must(create(dir, name, full, DIRECTORY, 0));
	}
	return n->first;
}

/* Gives an item its file; 0 if its name is taken. That is left for a second
 * round, so that a name that only one item has is always its own. */
static int place(struct node *dir, const IoBuffer *item, int second)
{
	const char *name = NULL, *begin;
	u32 len = 0, n;
	for (u32 at = 0; (n = part(item->ident, item->ident_len, &at, &begin)) != 0; name = begin, len = n) {
		if (len == 0)
			continue;
		const struct node *taken = entry(dir, name, len);
		if (taken != NULL && taken->type != DIRECTORY && !second)
			return 0;
		dir = enter(dir, name, len);
	}
	struct node *taken = len != 0 ? entry(dir, name, len) : dir;
	if (taken != NULL && taken->item == item)
		return 1; /* in the first round */
	if (taken != NULL) {
		if (!second)
			return 0;
		if (len != 0 && taken->suffix == 0)
			taken->suffix = 1;
		name = unused(dir, name, len, &taken->suffix, &len);
	}
	struct node *file = must(create(dir, name, len, REGULAR_FILE, 0));
	file->item = item;
	file->bytes = item->data;
	file->len = item->data_len;
	file->accessed = file->modified = file->changed = 0;
	return 1;
}

/* Reads the items of a set's directory when they are first wanted. */
static void read_set(struct node *dir)
{
	u32 set = dir->unread - 1, left = 0;
	if (dir->unread == 0)
		return;
	dir->unread = 0;
	for (int second = 0; second == 0 || (second == 1 && left != 0); second++)
		for (u32 i = 0, count = dandelion_input_buffer_count(set); i < count; i++) {
			const IoBuffer *item = dandelion_get_input(set, i);
			if (!climbs(item->ident, item->ident_len) && !place(dir, item, second))
				left++;
		}
}

/* The directory of a set. What the program made of that name before there were
 * sets gives way. */
static struct node *directory_of(const char *name, u32 len)
{
	struct node *n = entry(&root, name, len);
	if (n != NULL && n->type != DIRECTORY) {
		detach(n);
		forget(n);
		n = NULL;
	}
	if (n == NULL)
		n = must(create(&root, name, len, DIRECTORY, 0));
	n->fixed = 1;
	return n;
}

/* The root, with the directories that it has by now. */
static struct node *tree(void)
{
	if (!has_tree) {
		has_tree = 1;
		struct node *dev = must(create(&root, "dev", 3, DIRECTORY, 0));
		struct node *null = must(create(dev, "null", 4, CHARACTER_DEVICE, 0));
		null->sink = dev->fixed = null->fixed = 1;
		must(create(&root, "tmp", 3, DIRECTORY, 0))->fixed = 1;
	}
	if (has_sets && !has_set_directories) {
		has_set_directories = 1;
		for (u32 i = 0, count = dandelion_input_set_count(); i < count; i++)
			if (dandelion_input_set_ident_len(i) != 0) {
				struct node *dir = directory_of(dandelion_input_set_ident(i), dandelion_input_set_ident_len(i));
				if (dir->unread == 0)
					dir->unread = 1 + i;
			}
		for (u32 i = 0, count = dandelion_output_set_count(); i < count; i++)
			if (dandelion_output_set_ident_len(i) != 0)
				directory_of(dandelion_output_set_ident(i), dandelion_output_set_ident_len(i));
	}
	return &root;
}

/* An item of the set stdio, NULL if it was not given. */
static const IoBuffer *stdio(const char *name)
{
	for (u32 i = 0, count = has_sets ? dandelion_input_set_count() : 0; i < count; i++)
		if (is(dandelion_input_set_ident(i), dandelion_input_set_ident_len(i), "stdio"))
			for (u32 k = 0, items = dandelion_input_buffer_count(i); k < items; k++) {
				const IoBuffer *item = dandelion_get_input(i, k);
				if (is(item->ident, item->ident_len, name))
					return item;
			}
	return NULL;
}

/* The number of the output set stdio, or that of all output sets. */
static u32 stdio_output(void)
{
	u32 i = 0, count = dandelion_output_set_count();
	while (i < count && !is(dandelion_output_set_ident(i), dandelion_output_set_ident_len(i), "stdio"))
		i++;
	return i;
}

static u32 stdio_set; /* stdio_output */

/* Where stderr would be found if the program ended now: a trap ends it without
 * another word. */
static void show_errors(void)
{
	static IoBuffer item = {"stderr", 6, NULL, 0, 0};
	struct dandelion_system_data *sys = &__dandelion_system_data;
	item.data = standard[2].bytes;
	item.data_len = standard[2].len;
	for (u32 i = stdio_set + 1; i <= sys->output_sets_len; i++)
		sys->output_sets[i].offset = 1;
	sys->output_bufs = &item;
}

void __wasi_begin(void)
{
	has_sets = 1;
	const IoBuffer *in = stdio("stdin");
	if (in != NULL) {
		standard[0].bytes = in->data;
		standard[0].len = in->data_len;
	}
	stdio_set = stdio_output();
	standard[1].sink = standard[2].sink = stdio_set == dandelion_output_set_count();
	if (standard[2].len != 0 && !standard[2].sink)
		show_errors();
}

/* ---- descriptors ------------------------------------------------------- */

struct descriptor {
	struct node *node; /* NULL: not open */
	u64 at;
	u64 rights, inheriting;
	u16 flags;
	u8 preopened;
};

enum { MOST_DESCRIPTORS = 4096 };

static struct descriptor few[16] = {
	{.node = &standard[0], .rights = FILE_RIGHTS & ~RIGHT_WRITE},
	{.node = &standard[1], .rights = FILE_RIGHTS & ~RIGHT_READ},
	{.node = &standard[2], .rights = FILE_RIGHTS & ~RIGHT_READ},
	{.node = &root, .rights = DIRECTORY_RIGHTS, .inheriting = ALL_RIGHTS, .preopened = 1},
};
static struct descriptor *descriptors = few;
static u32 descriptor_count = 16;

static struct descriptor *opened(u32 fd)
{
	return fd < descriptor_count && descriptors[fd].node != NULL ? &descriptors[fd] : NULL;
}

static __wasi_errno open_node(struct node *n, u64 rights, u64 inheriting, u16 flags, u32 *fd)
{
	u32 i = 3;
	while (i < descriptor_count && descriptors[i].node != NULL)
		i++;
	if (i == descriptor_count) {
		if (i == MOST_DESCRIPTORS)
			return EMFILE;
		struct descriptor *more = dandelion_alloc(2 * i * sizeof *more, 16);
		if (more == NULL)
			return EMFILE;
		copy(more, descriptors, i * sizeof *more);
		clear(more + i, i * sizeof *more);
		if (descriptors != few)
			dandelion_free(descriptors);
		descriptors = more;
		descriptor_count = 2 * i;
	}
	descriptors[i] = (struct descriptor){n, 0, rights, inheriting, flags, 0};
	n->opens++;
	*fd = i;
	return OK;
}

static void close_descriptor(struct descriptor *d)
{
	struct node *n = d->node;
	d->node = NULL;
	if (n->opens != 0)
		n->opens--;
	forget(n);
}

/* ---- reading and writing ----------------------------------------------- */

struct piece { /* an iovec */
	char *bytes;
	u32 len;
};

static u32 read_at(struct node *n, u64 at, const struct piece *pieces, u32 count)
{
	u32 total = 0;
	for (u32 i = 0; i < count && at < n->len; i++) {
		u32 len = n->len - (u32)at;
		if (len > pieces[i].len)
			len = pieces[i].len;
		copy(pieces[i].bytes, n->bytes + at, len);
		at += len;
		total += len;
	}
	n->accessed = now;
	return total;
}

/* Room for len bytes in a file, those behind its end being zero. */
static __wasi_errno reserve(struct node *n, u64 len)
{
	if (len > INT32_MAX)
		return EFBIG;
	/* An item's own bytes may be written over; behind them is something else. */
	u32 cap = n->cap != 0 ? n->cap : n->len;
	if (len > cap) {
		u64 roomy = n->len + (u64)n->len / 2;
		u32 size = (u32)(roomy > len && roomy < INT32_MAX ? roomy : len);
		if (size < 256)
			size = 256;
		char *bytes = n->cap != 0 ? __wasi_resize(n->bytes, n->len, size) : dandelion_alloc(size, 16);
		if (bytes == NULL && size > len) {
			size = (u32)len;
			bytes = n->cap != 0 ? __wasi_resize(n->bytes, n->len, size) : dandelion_alloc(size, 16);
		}
		if (bytes == NULL)
			return ENOSPC;
		if (n->cap == 0)
			copy(bytes, n->bytes, n->len);
		n->bytes = bytes;
		n->cap = size;
	}
	return OK;
}

static __wasi_errno resize(struct node *n, u64 len)
{
	if (len > n->len) {
		__wasi_errno failed = reserve(n, len);
		if (failed)
			return failed;
		clear(n->bytes + n->len, (u32)len - n->len);
	}
	n->len = (u32)len;
	changed(n);
	return OK;
}

static __wasi_errno write_at(struct node *n, u64 *at, const struct piece *pieces, u32 count, u32 *written)
{
	u64 total = 0;
	for (u32 i = 0; i < count; i++)
		total += pieces[i].len;
	if (total > INT32_MAX)
		return EINVAL;
	*written = (u32)total;
	if (total == 0)
		return OK;
	if (n->sink) {
		*at += total;
		return OK;
	}
	if (*at + total > n->len) {
		if (*at > INT32_MAX)
			return EFBIG;
		__wasi_errno failed = reserve(n, *at + total);
		if (failed)
			return failed;
		if (*at > n->len)
			clear(n->bytes + n->len, (u32)*at - n->len);
		n->len = (u32)(*at + total);
	}
	for (u32 i = 0; i < count; i++) {
		copy(n->bytes + *at, pieces[i].bytes, pieces[i].len);
		*at += pieces[i].len;
	}
	n->item = NULL;
	changed(n);
	if (n == &standard[2] && has_sets)
		show_errors();
	return OK;
}

WASI(fd_read)(u32 fd, const struct piece *pieces, u32 count, u32 *got)
{
	struct descriptor *d = opened(fd);
	if (d == NULL)
		return EBADF;
	if (d->node->type == DIRECTORY)
		return EISDIR;
	if (!(d->rights & RIGHT_READ))
		return EBADF;
	*got = read_at(d->node, d->at, pieces, count);
	d->at += *got;
	return OK;
}

WASI(fd_pread)(u32 fd, const struct piece *pieces, u32 count, u64 at, u32 *got)
{
	const struct descriptor *d = opened(fd);
	if (d == NULL)
		return EBADF;
	if (d->node->type == DIRECTORY)
		return EISDIR;
	if (!(d->rights & RIGHT_READ))
		return EBADF;
	if (at > INT64_MAX)
		return EINVAL;
	*got = read_at(d->node, at, pieces, count);
	return OK;
}

WASI(fd_write)(u32 fd, const struct piece *pieces, u32 count, u32 *written)
{
	struct descriptor *d = opened(fd);
	if (d == NULL || d->node->type == DIRECTORY || !(d->rights & RIGHT_WRITE))
		return EBADF;
	u64 at = d->flags & APPEND ? d->node->len : d->at;
	__wasi_errno failed = write_at(d->node, &at, pieces, count, written);
	if (failed == OK && *written != 0)
		d->at = at;
	return failed;
}

WASI(fd_pwrite)(u32 fd, const struct piece *pieces, u32 count, u64 at, u32 *written)
{
	const struct descriptor *d = opened(fd);
	if (d == NULL || d->node->type == DIRECTORY || !(d->rights & RIGHT_WRITE))
		return EBADF;
	if (at > INT64_MAX)
		return EINVAL;
	if (d->flags & APPEND) /* as Linux has it */
		at = d->node->len;
	return write_at(d->node, &at, pieces, count, written);
}

WASI(fd_seek)(u32 fd, int64_t offset, u32 whence, u64 *at)
{
	struct descriptor *d = opened(fd);
	if (d == NULL || d->node->type == DIRECTORY)
		return EBADF;
	if (d->node->type == CHARACTER_DEVICE)
		return ESPIPE;
	if (whence > 2)
		return EINVAL;
	int64_t from = whence == 0 ? 0 : whence == 1 ? (int64_t)d->at : (int64_t)d->node->len, to;
	if (__builtin_add_overflow(from, offset, &to))
		return EOVERFLOW;
	if (to < 0)
		return EINVAL;
	*at = d->at = (u64)to;
	return OK;
}

WASI(fd_tell)(u32 fd, u64 *at)
{
	const struct descriptor *d = opened(fd);
	if (d == NULL || d->node->type == DIRECTORY)
		return EBADF;
	if (d->node->type == CHARACTER_DEVICE)
		return ESPIPE;
	*at = d->at;
	return OK;
}

WASI(fd_close)(u32 fd)
{
	struct descriptor *d = opened(fd);
	if (d == NULL)
		return EBADF;
	close_descriptor(d);
	return OK;
}

WASI(fd_renumber)(u32 from, u32 to)
{
	struct descriptor *d = opened(from), *replaced = opened(to);
	if (d == NULL || replaced == NULL)
		return EBADF;
	if (d == replaced)
		return OK;
	close_descriptor(replaced);
	*replaced = *d;
	d->node = NULL;
	return OK;
}

WASI(fd_sync)(u32 fd) { return opened(fd) != NULL ? OK : EBADF; }
WASI(fd_datasync)(u32 fd) { return opened(fd) != NULL ? OK : EBADF; }

WASI(fd_advise)(u32 fd, u64 offset, u64 len, u32 advice)
{
	const struct descriptor *d = opened(fd);
	if (d == NULL || d->node->type == DIRECTORY)
		return EBADF;
	return advice > 5 || offset > INT64_MAX || len > INT64_MAX ? EINVAL : OK;
}

WASI(fd_allocate)(u32 fd, u64 offset, u64 len)
{
	const struct descriptor *d = opened(fd);
	if (d == NULL || d->node->type == DIRECTORY || !(d->rights & RIGHT_WRITE))
		return EBADF;
	if (len == 0 || offset > INT64_MAX || len > INT64_MAX)
		return EINVAL;
	if (d->node->type == CHARACTER_DEVICE)
		return ESPIPE;
	return offset + len > d->node->len ? resize(d->node, offset + len) : OK;
}

WASI(fd_fdstat_get)(u32 fd, char *out)
{
	const struct descriptor *d = opened(fd);
	if (d == NULL)
		return EBADF;
	clear(out, 24);
	out[0] = (char)d->node->type;
	copy(out + 2, &d->flags, 2);
	copy(out + 8, &d->rights, 8);
	copy(out + 16, &d->inheriting, 8);
	return OK;
}

WASI(fd_fdstat_set_flags)(u32 fd, u32 flags)
{
	struct descriptor *d = opened(fd);
	if (d == NULL)
		return EBADF;
	if (flags & ~(u32)ALL_FLAGS)
		return EINVAL;
	d->flags = (u16)flags;
	return OK;
}

WASI(fd_fdstat_set_rights)(u32 fd, u64 rights, u64 inheriting)
{
	struct descriptor *d = opened(fd);
	if (d == NULL)
		return EBADF;
	if (rights & ~d->rights || inheriting & ~d->inheriting)
		return ENOTCAPABLE;
	d->rights = rights;
	d->inheriting = inheriting;
	return OK;
}

static void stat(const struct node *n, char *out)
{
	u64 fields[8] = {1, n->inode, n->type, n->parent != NULL || n->inode < 5, n->len, n->accessed, n->modified, n->changed};
	copy(out, fields, sizeof fields);
}

WASI(fd_filestat_get)(u32 fd, char *out)
{
	const struct descriptor *d = opened(fd);
	if (d == NULL)
		return EBADF;
	stat(d->node, out);
	return OK;
}

WASI(fd_filestat_set_size)(u32 fd, u64 size)
{
	const struct descriptor *d = opened(fd);
	if (d == NULL)
		return EBADF;
	if (d->node->type != REGULAR_FILE || !(d->rights & RIGHT_WRITE) || size > INT64_MAX)
		return EINVAL;
	d->node->item = NULL;
	return d->node->sink ? OK : resize(d->node, size);
}

static __wasi_errno set_times(struct node *n, u64 accessed, u64 modified, u32 flags)
{
	if (flags > 15 || (flags & 3) == 3 || (flags & 12) == 12)
		return EINVAL;
	if (flags & 3)
		n->accessed = flags & 2 ? now : accessed;
	if (flags & 12)
		n->modified = flags & 8 ? now : modified;
	n->changed = now;
	return OK;
}

WASI(fd_filestat_set_times)(u32 fd, u64 accessed, u64 modified, u32 flags)
{
	const struct descriptor *d = opened(fd);
	return d == NULL ? EBADF : set_times(d->node, accessed, modified, flags);
}

WASI(fd_prestat_get)(u32 fd, u32 *out)
{
	const struct descriptor *d = opened(fd);
	if (d == NULL || !d->preopened)
		return EBADF;
	out[0] = 0; /* a directory */
	out[1] = 1; /* length of its name */
	return OK;
}

WASI(fd_prestat_dir_name)(u32 fd, char *name, u32 len)
{
	const struct descriptor *d = opened(fd);
	if (d == NULL || !d->preopened)
		return EBADF;
	if (len < 1)
		return ENAMETOOLONG;
	name[0] = '/';
	return OK;
}

struct entries { /* that fd_readdir writes */
	char *out;
	u32 size, used;
};

static int add_entry(struct entries *e, u64 cookie, u64 inode, const char *name, u32 len, u8 type)
{
	struct {
		u64 next, inode;
		u32 len;
		u8 type, pad[3];
	} head = {cookie, inode, len, type, {0}};
	u32 left = e->size - e->used, n = left < sizeof head ? left : sizeof head;
	copy(e->out + e->used, &head, n);
	e->used += n;
	left -= n;
	n = left < len ? left : len;
	copy(e->out + e->used, name, n);
	e->used += n;
	return e->used < e->size;
}

/* A cookie says which entry was the last: those behind it are given whatever
 * was removed or added in the meantime. 1 and 2 are . and .. */
WASI(fd_readdir)(u32 fd, char *out, u32 size, u64 cookie, u32 *used)
{
	const struct descriptor *d = opened(fd);
	if (d == NULL)
		return EBADF;
	struct node *dir = d->node;
	if (dir->type != DIRECTORY)
		return ENOTDIR;
	tree();
	read_set(dir);
	struct entries e = {out, size, 0};
	int more = size != 0;
	if (more && cookie < 1)
		more = add_entry(&e, 1, dir->inode, ".", 1, DIRECTORY);
	if (more && cookie < 2)
		more = add_entry(&e, 2, dir->parent != NULL ? dir->parent->inode : dir->inode, "..", 2, DIRECTORY);
	for (const struct node *n = dir->first; more && n != NULL; n = n->next)
		if ((u64)n->cookie + 2 > cookie)
			more = add_entry(&e, (u64)n->cookie + 2, n->inode, n->name, n->name_len, n->type);
	*used = e.used;
	return OK;
}

/* ---- paths ------------------------------------------------------------- */

/* What a path leads to: an entry of dir, which need not exist, or dir itself
 * if it has no last name. */
struct place {
	struct node *dir, *node;
	const char *name;
	u32 len;
	int slash; /* it ends in one, so it must be a directory */
	int dots;  /* 1, 2: its last part is . or .. */
};

/* All of a path but what it says of its end. */
static __wasi_errno walk_to(u32 fd, const char *path, u32 len, struct place *to)
{
	const struct descriptor *d = opened(fd);
	if (d == NULL)
		return EBADF;
	if (d->node->type != DIRECTORY)
		return ENOTDIR;
	if (len == 0)
		return ENOENT;
	tree();
	/* The root is "/", so there a leading slash changes nothing. */
	if (path[0] == '/' && d->node != &root)
		return ENOTCAPABLE;
	for (u32 i = 0; i < len; i++)
		if (path[i] == 0)
			return EINVAL;
	*to = (struct place){.dir = d->node, .node = d->node, .slash = path[len - 1] == '/'};
	const char *begin;
	for (u32 at = 0, n; (n = part(path, len, &at, &begin)) != 0;) {
		if (to->node == NULL)
			return ENOENT;
		if (to->node->type != DIRECTORY)
			return ENOTDIR;
		to->dir = to->node;
		to->len = 0;
		to->dots = n == 2 && begin[0] == '.' && begin[1] == '.' ? 2 : 0;
		if (to->dots) {
			if (to->dir == d->node || to->dir->parent == NULL)
				return ENOTCAPABLE;
			to->dir = to->node = to->dir->parent;
			continue;
		}
		read_set(to->dir);
		to->name = begin;
		to->len = n;
		to->node = entry(to->dir, begin, n);
	}
	/* x/. and x/ mean the directory x. */
	u32 end = len;
	while (end > 1 && path[end - 1] == '/')
		end--;
	if (path[end - 1] == '.' && (end == 1 || path[end - 2] == '/'))
		to->slash = to->dots = 1;
	if (to->dots == 1 && to->node == NULL)
		return ENOENT;
	if (to->dots == 1 && to->node->type != DIRECTORY)
		return ENOTDIR;
	return OK;
}

static __wasi_errno walk(u32 fd, const char *path, u32 len, struct place *to)
{
	__wasi_errno failed = walk_to(fd, path, len, to);
	if (failed == OK && to->slash && to->node != NULL && to->node->type != DIRECTORY)
		return ENOTDIR;
	return failed;
}

static __wasi_errno walk_existing(u32 fd, const char *path, u32 len, struct place *to)
{
	__wasi_errno failed = walk(fd, path, len, to);
	return failed ? failed : to->node == NULL ? ENOENT : OK;
}

/* Whether a name may be given: outputs are named by it, so it has to be UTF-8
 * without control characters. */
static __wasi_errno check_name(const struct place *p)
{
	if (p->len > 255)
		return ENAMETOOLONG;
	if (p->dir->parent == NULL && p->dir != &root)
		return ENOENT; /* the directory was removed */
	const u8 *s = (const u8 *)p->name;
	for (u32 i = 0, n; i < p->len; i += n) {
		u32 c = s[i];
		n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
		if (n == 0 || n > p->len - i)
			return EILSEQ;
		if (n > 1)
			c &= 0x7fu >> n;
		for (u32 k = 1; k < n; k++) {
			if ((s[i + k] & 0xc0) != 0x80)
				return EILSEQ;
			c = c << 6 | (s[i + k] & 0x3f);
		}
		if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || (n == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) ||
		    (n == 4 && (c < 0x10000 || c > 0x10ffff)))
			return EILSEQ;
	}
	return OK;
}

WASI(path_open)(u32 fd, u32 lookup, const char *path, u32 len, u32 how, u64 rights, u64 inheriting, u32 flags, u32 *out)
{
	struct place p;
	__wasi_errno failed = walk_to(fd, path, len, &p);
	if (failed)
		return failed;
	if (how > 15 || flags & ~(u32)ALL_FLAGS || lookup > 1 || (how & CREATE && how & MUST_BE_DIRECTORY))
		return EINVAL;
	struct node *n = p.node;
	if (how & CREATE && p.slash && !p.dots)
		return EISDIR;
	if (n == NULL) {
		if (!(how & CREATE))
			return ENOENT;
		if ((failed = check_name(&p)) != OK)
			return failed;
		if ((n = create(p.dir, p.name, p.len, REGULAR_FILE, 1)) == NULL)
			return ENOSPC;
		changed(p.dir);
	} else if (how & CREATE && how & EXCLUSIVE) {
		return EEXIST;
	} else if (n->type == DIRECTORY) {
		if (how & (CREATE | TRUNCATE) || (rights & RIGHT_WRITE && !(how & MUST_BE_DIRECTORY)))
			return EISDIR;
	} else if (how & MUST_BE_DIRECTORY || p.slash) {
		return ENOTDIR;
	}
	u64 possible = descriptors[fd].inheriting & (n->type == DIRECTORY ? DIRECTORY_RIGHTS : FILE_RIGHTS);
	if ((failed = open_node(n, rights & possible, inheriting & descriptors[fd].inheriting, (u16)flags, out)) != OK)
		return failed;
	if (how & TRUNCATE && n->type == REGULAR_FILE) {
		n->item = NULL;
		resize(n, 0);
	}
	return OK;
}

WASI(path_create_directory)(u32 fd, const char *path, u32 len)
{
	struct place p;
	__wasi_errno failed = walk_to(fd, path, len, &p);
	if (failed)
		return failed;
	if (p.node != NULL)
		return EEXIST;
	if ((failed = check_name(&p)) != OK)
		return failed;
	if (create(p.dir, p.name, p.len, DIRECTORY, 1) == NULL)
		return ENOSPC;
	changed(p.dir);
	return OK;
}

WASI(path_filestat_get)(u32 fd, u32 lookup, const char *path, u32 len, char *out)
{
	struct place p;
	__wasi_errno failed = walk_existing(fd, path, len, &p);
	if (failed)
		return failed;
	(void)lookup; /* there are no symbolic links */
	stat(p.node, out);
	return OK;
}

WASI(path_filestat_set_times)(u32 fd, u32 lookup, const char *path, u32 len, u64 accessed, u64 modified, u32 flags)
{
	struct place p;
	__wasi_errno failed = walk_existing(fd, path, len, &p);
	(void)lookup;
	return failed ? failed : set_times(p.node, accessed, modified, flags);
}

static void remove_node(struct node *n)
{
	changed(n->parent);
	n->changed = now;
	detach(n);
	forget(n);
}

WASI(path_unlink_file)(u32 fd, const char *path, u32 len)
{
	struct place p;
	__wasi_errno failed = walk_existing(fd, path, len, &p);
	if (failed)
		return failed;
	if (p.node->type == DIRECTORY)
		return EISDIR;
	if (p.node->fixed)
		return EBUSY;
	remove_node(p.node);
	return OK;
}

WASI(path_remove_directory)(u32 fd, const char *path, u32 len)
{
	struct place p;
	__wasi_errno failed = walk_existing(fd, path, len, &p);
	if (failed)
		return failed;
	if (p.node->type != DIRECTORY)
		return ENOTDIR;
	if (p.dots)
		return p.dots == 1 ? EINVAL : ENOTEMPTY;
	if (p.node->fixed)
		return EBUSY;
	if (p.node->first != NULL)
		return ENOTEMPTY;
	remove_node(p.node);
	return OK;
}

WASI(path_rename)(u32 fd, const char *path, u32 len, u32 to_fd, const char *to_path, u32 to_len)
{
	struct place from, to;
	__wasi_errno failed = walk_to(fd, path, len, &from);
	if (failed || (failed = walk_to(to_fd, to_path, to_len, &to)) != OK)
		return failed;
	if (from.dots || to.dots)
		return EBUSY;
	struct node *n = from.node, *replaced = to.node;
	if (n == NULL)
		return ENOENT;
	if ((from.slash || to.slash) && n->type != DIRECTORY)
		return ENOTDIR;
	for (const struct node *above = to.dir; above != NULL; above = above->parent)
		if (above == n)
			return EINVAL;
	for (const struct node *above = from.dir; above != NULL; above = above->parent)
		if (above == replaced)
			return ENOTEMPTY;
	if (n->fixed || (replaced != NULL && replaced->fixed))
		return EBUSY;
	if (n == replaced)
		return OK;
	if (replaced != NULL) {
		if (replaced->type == DIRECTORY && n->type != DIRECTORY)
			return EISDIR;
		if (replaced->type != DIRECTORY && n->type == DIRECTORY)
			return ENOTDIR;
		if (replaced->first != NULL && replaced->type == DIRECTORY)
			return ENOTEMPTY;
	}
	if ((failed = check_name(&to)) != OK)
		return failed;
	char *name = dandelion_alloc(to.len, 1);
	if (name == NULL)
		return ENOSPC;
	copy(name, to.name, to.len);
	if (replaced != NULL)
		remove_node(replaced);
	changed(n->parent);
	detach(n);
	if (n->own_name)
		dandelion_free((void *)n->name);
	n->own_name = 1;
	n->item = NULL;
	attach(to.dir, n, name, to.len);
	changed(to.dir);
	n->changed = now;
	return OK;
}

/* A file has one name here. */
WASI(path_link)(u32 fd, u32 lookup, const char *path, u32 len, u32 to_fd, const char *to_path, u32 to_len)
{
	struct place p;
	__wasi_errno failed = walk_existing(fd, path, len, &p);
	(void)lookup;
	if (failed || (failed = walk(to_fd, to_path, to_len, &p)) != OK)
		return failed;
	return p.node != NULL ? EEXIST : ENOTSUP;
}

WASI(path_symlink)(const char *target, u32 target_len, u32 fd, const char *path, u32 len)
{
	struct place p;
	__wasi_errno failed = walk(fd, path, len, &p);
	(void)target, (void)target_len;
	return failed ? failed : p.node != NULL ? EEXIST : ENOTSUP;
}

WASI(path_readlink)(u32 fd, const char *path, u32 len, char *out, u32 size, u32 *used)
{
	struct place p;
	__wasi_errno failed = walk_existing(fd, path, len, &p);
	(void)out, (void)size, (void)used;
	return failed ? failed : EINVAL;
}

/* ---- arguments and environment ----------------------------------------- */

static int blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0; }

/* Cuts text into words at blanks; ' and " keep what is between them together.
 * With starts and out, writes where each begins and the words themselves, a
 * NUL behind each. */
static void words(const char *text, u32 len, char **starts, char *out, u32 *count, u32 *size)
{
	*count = *size = 0;
	for (u32 i = 0;;) {
		while (i < len && blank(text[i]))
			i++;
		if (i == len)
			return;
		if (starts != NULL)
			starts[*count] = out + *size;
		++*count;
		for (char quote = 0; i < len && (quote != 0 || !blank(text[i])); i++) {
			if (quote == 0 && (text[i] == '\'' || text[i] == '"')) {
				quote = text[i];
			} else if (text[i] == quote) {
				quote = 0;
			} else if (text[i] != 0) {
				if (out != NULL)
					out[*size] = text[i];
				++*size;
			}
		}
		if (out != NULL)
			out[*size] = 0;
		++*size;
	}
}

/* Programs rely on having a name. */
static const IoBuffer *arguments(void)
{
	static const IoBuffer name = {.data = "function", .data_len = 8};
	const IoBuffer *given = stdio("argv");
	return given != NULL ? given : &name;
}

static const IoBuffer *environment(void)
{
	static const IoBuffer none;
	const IoBuffer *given = stdio("environ");
	return given != NULL ? given : &none;
}

WASI(args_sizes_get)(u32 *count, u32 *size)
{
	const IoBuffer *text = arguments();
	words(text->data, text->data_len, NULL, NULL, count, size);
	return OK;
}

WASI(args_get)(char **starts, char *out)
{
	u32 count, size;
	const IoBuffer *text = arguments();
	words(text->data, text->data_len, starts, out, &count, &size);
	return OK;
}

WASI(environ_sizes_get)(u32 *count, u32 *size)
{
	const IoBuffer *text = environment();
	words(text->data, text->data_len, NULL, NULL, count, size);
	return OK;
}

WASI(environ_get)(char **starts, char *out)
{
	u32 count, size;
	const IoBuffer *text = environment();
	words(text->data, text->data_len, starts, out, &count, &size);
	return OK;
}

/* ---- time and chance --------------------------------------------------- */

enum { TICK = 1000 }; /* nanoseconds that every reading of a clock takes */

WASI(clock_res_get)(u32 clock, u64 *out)
{
	if (clock > 3)
		return EINVAL;
	*out = TICK;
	return OK;
}

WASI(clock_time_get)(u32 clock, u64 precision, u64 *out)
{
	(void)precision;
	if (clock > 3)
		return EINVAL;
	*out = now;
	now += TICK;
	return OK;
}

WASI(random_get)(u8 *out, u32 len)
{
	static u64 state = 0x9e3779b97f4a7c15;
	for (u32 i = 0; i < len;) {
		u64 z = state += 0x9e3779b97f4a7c15; /* splitmix64 */
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
		z = (z ^ z >> 27) * 0x94d049bb133111eb;
		z ^= z >> 31;
		for (u32 k = 0; k < 8 && i < len; k++, z >>= 8)
			out[i++] = (u8)z;
	}
	return OK;
}

struct subscription {
	u64 userdata;
	u8 type, pad[7];
	u32 fd; /* or clock */
	u64 timeout, precision;
	u16 flags;
};

struct event {
	u64 userdata;
	u16 error;
	u8 type;
	u64 bytes;
	u16 flags;
};

enum { ON_CLOCK, ON_READ, ON_WRITE };

static u64 due(const struct subscription *s)
{
	u64 at;
	if (s->flags & 1)
		return s->timeout;
	return __builtin_add_overflow(now, s->timeout, &at) ? UINT64_MAX : at;
}

/* Files are always ready. Where only clocks are waited for, the next of them
 * is what the time becomes. */
WASI(poll_oneoff)(const struct subscription *in, struct event *out, u32 count, u32 *ready)
{
	u64 next = UINT64_MAX;
	int immediate = 0;
	if (count == 0)
		return EINVAL;
	for (u32 i = 0; i < count; i++)
		if (in[i].type != ON_CLOCK || in[i].fd > 3)
			immediate = 1;
		else if (due(&in[i]) < next)
			next = due(&in[i]);
	u64 time = immediate || next < now ? now : next;
	*ready = 0;
	for (u32 i = 0; i < count; i++) {
		struct event e = {.userdata = in[i].userdata, .type = in[i].type};
		if (in[i].type == ON_CLOCK && in[i].fd <= 3) {
			if (due(&in[i]) > time)
				continue;
		} else if (in[i].type == ON_READ || in[i].type == ON_WRITE) {
			const struct descriptor *d = opened(in[i].fd);
			if (d == NULL)
				e.error = EBADF;
			else if (in[i].type == ON_READ)
				e.bytes = d->node->len > d->at ? d->node->len - d->at : 0;
			else
				e.bytes = 65536;
		} else {
			e.error = EINVAL;
		}
		out[(*ready)++] = e;
	}
	now = time;
	return OK;
}

WASI(sched_yield)(void) { return OK; }

/* ---- what a pure function does not have -------------------------------- */

WASI(proc_raise)(u32 signal) { return (void)signal, ENOSYS; }
WASI(sock_accept)(u32 fd, u32 flags, u32 *out) { return (void)fd, (void)flags, (void)out, ENOSYS; }
WASI(sock_recv)(u32 fd, struct piece *to, u32 count, u32 flags, u32 *got, u32 *result)
{
	return (void)fd, (void)to, (void)count, (void)flags, (void)got, (void)result, ENOSYS;
}
WASI(sock_send)(u32 fd, const struct piece *from, u32 count, u32 flags, u32 *sent)
{
	return (void)fd, (void)from, (void)count, (void)flags, (void)sent, ENOSYS;
}
WASI(sock_shutdown)(u32 fd, u32 how) { return (void)fd, (void)how, ENOSYS; }

/* ---- the end ----------------------------------------------------------- */

int __wasi_exit_code(int code)
{
	/* Of any other number, the last byte is what other systems keep. It must
	 * not make a success of a failure. */
	if (code >= 0 && code < 256)
		return code;
	return (code & 255) != 0 ? code & 255 : 255;
}

static int before(const IoBuffer *a, const IoBuffer *b)
{
	u32 len = a->ident_len < b->ident_len ? a->ident_len : b->ident_len;
	for (u32 i = 0; i < len; i++)
		if (a->ident[i] != b->ident[i])
			return (u8)a->ident[i] < (u8)b->ident[i];
	return a->ident_len < b->ident_len;
}

/* Moves the item at i down to its place in a heap of count items. */
static void sift(IoBuffer *items, u32 i, u32 count)
{
	IoBuffer item = items[i];
	for (u32 child; (child = 2 * i + 1) < count; i = child) {
		if (child + 1 < count && before(&items[child], &items[child + 1]))
			child++;
		if (!before(&item, &items[child]))
			break;
		items[i] = items[child];
	}
	items[i] = item;
}

static void sort(IoBuffer *items, u32 count)
{
	for (u32 i = count / 2; i-- > 0;)
		sift(items, i, count);
	while (count > 1) {
		IoBuffer last = items[--count];
		items[count] = items[0];
		items[0] = last;
		sift(items, 0, count);
	}
}

/* The node behind n in a walk through all that is below dir. */
static struct node *following(const struct node *dir, struct node *n)
{
	if (n->type == DIRECTORY) {
		read_set(n);
		if (n->first != NULL)
			return n->first;
	}
	while (n != dir && n->next == NULL)
		n = n->parent;
	return n == dir ? NULL : n->next;
}

/* The path of n below dir. */
static const char *path_of(const struct node *dir, const struct node *n, u32 *len)
{
	*len = n->name_len;
	if (n->parent == dir)
		return n->name;
	for (const struct node *p = n->parent; p != dir; p = p->parent)
		*len += p->name_len + 1;
	char *path = dandelion_alloc(*len, 1);
	if (path == NULL)
		give_up();
	for (u32 at = *len; n != dir; n = n->parent) {
		copy(path + (at -= n->name_len), n->name, n->name_len);
		if (at != 0)
			path[--at] = '/';
	}
	return path;
}

static IoBuffer item_of(const char *name, u32 len, const struct node *n) { return (IoBuffer){name, len, n->bytes, n->len, 0}; }

static void collect(u32 set)
{
	struct node *dir = entry(&root, dandelion_output_set_ident(set), dandelion_output_set_ident_len(set));
	u32 count = 2;
	if (dir != NULL)
		for (struct node *n = dir; n != NULL; n = following(dir, n))
			count++;
	IoBuffer *items = dandelion_alloc(count * sizeof *items, 16);
	if (items == NULL)
		give_up();
	count = 0;
	/* What stdio was given is not what it gives. */
	for (struct node *n = dir; n != NULL; n = following(dir, n))
		if (n->type == REGULAR_FILE && !(set == stdio_set && n->item != NULL)) {
			u32 len;
			const char *path = path_of(dir, n, &len);
			items[count++] = item_of(path, len, n);
		}
	if (set == stdio_set) {
		if (standard[1].len != 0)
			items[count++] = item_of("stdout", 6, &standard[1]);
		if (standard[2].len != 0)
			items[count++] = item_of("stderr", 6, &standard[2]);
	}
	sort(items, count);
	for (u32 i = 0; i < count; i++)
		dandelion_add_output(set, items[i]);
}

void __wasi_collect(void)
{
	if (!has_tree && standard[1].len + standard[2].len == 0) {
		/* Only a set that is an input too has files that nobody asked for. */
		u32 sets = dandelion_output_set_count(), inputs = dandelion_input_set_count(), shared = 0;
		for (u32 i = 0; i < sets; i++)
			for (u32 k = 0; k < inputs; k++)
				shared |= dandelion_output_set_ident_len(i) == dandelion_input_set_ident_len(k) &&
				          same(dandelion_output_set_ident(i), dandelion_input_set_ident(k), dandelion_input_set_ident_len(k));
		if (!shared)
			return;
	}
	tree();
	for (u32 i = 0, count = dandelion_output_set_count(); i < count; i++)
		collect(i);
}
