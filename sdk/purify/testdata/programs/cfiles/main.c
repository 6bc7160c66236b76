/* Uses files below the folder that its first argument names, as programs do,
 * and prints what it sees; nothing that depends on where or when it runs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char path_buffer[4096];
static const char *root;

static const char *in_root(const char *path)
{
	snprintf(path_buffer, sizeof path_buffer, "%s/%s", root, path);
	return path_buffer;
}

static void say(const char *what, int result)
{
	if (result < 0)
		printf("%s: %s\n", what, strerror(errno));
	else
		printf("%s: %d\n", what, result);
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *path)
{
	char *names[100];
	int n = 0;
	DIR *dir = opendir(in_root(path));
	if (dir == NULL) {
		say(path, -1);
		return;
	}
	for (struct dirent *e; (e = readdir(dir)) != NULL && n < 100;)
		names[n++] = strdup(e->d_name);
	closedir(dir);
	qsort(names, n, sizeof *names, compare);
	for (int i = 0; i < n; i++) {
		printf("%s has %s\n", path, names[i]);
		free(names[i]);
	}
}

static void text(const char *path)
{
	FILE *f = fopen(in_root(path), "r");
	if (f == NULL) {
		say(path, -1);
		return;
	}
	char line[200];
	while (fgets(line, sizeof line, f))
		printf("%s: %s%s", path, line, strchr(line, '\n') ? "" : "|\n");
	fclose(f);
}

static void many_blocks(void)
{
	/* Sizes that grow and shrink, all looked at in the end. */
	enum { N = 200 };
	static unsigned char *blocks[N];
	static size_t sizes[N];
	unsigned seed = 1;
	for (int step = 0; step < 5000; step++) {
		seed = seed * 1103515245 + 12345;
		int i = seed >> 16 & 0x7fff;
		size_t size = i % 3000;
		i %= N;
		blocks[i] = realloc(blocks[i], size + 1);
		for (size_t k = sizes[i]; k < size; k++)
			blocks[i][k] = (unsigned char)(i + k);
		sizes[i] = size;
	}
	int bad = 0;
	for (int i = 0; i < N; i++) {
		for (size_t k = 0; k < sizes[i]; k++)
			bad += blocks[i][k] != (unsigned char)(i + k);
		free(blocks[i]);
	}
	void *aligned = NULL;
	int refused = posix_memalign(&aligned, 3, 10);
	printf("blocks %d, aligned %d %d\n", bad, refused == EINVAL, posix_memalign(&aligned, 256, 100) == 0 && (size_t)aligned % 256 == 0);
	free(aligned);
	int *zeros = calloc(1000, sizeof(int)), sum = 0;
	for (int i = 0; i < 1000; i++)
		sum += zeros[i];
	free(zeros);
	void *volatile too_much = malloc((size_t)-1 / 2);
	printf("zeros %d, too much %d\n", sum, too_much == NULL);
}

static void at_exit(void) { printf("at exit\n"); }

int main(int argc, char **argv)
{
	root = argv[1];
	atexit(at_exit);
	for (int i = 2; i < argc; i++)
		printf("argument %d: %s\n", i, argv[i]);
	printf("environment %s\n", getenv("GREETING") ? getenv("GREETING") : "none");
	char line[200];
	while (fgets(line, sizeof line, stdin))
		printf("stdin: %s", line);
	printf("\nformats %5.2f %e %-8s| %08x %lld %c\n", 3.14159, 123456.789, "left", 0xbeef, 1234567890123LL, 'x');

	list("input");
	list("input/sub");
	list("none");
	text("input/a.txt");
	text("input/sub/b.txt");
	say("mkdir", mkdir(in_root("output/d"), 0777));
	say("mkdir again", mkdir(in_root("output/d"), 0777));
	say("mkdir below a file", mkdir(in_root("input/a.txt/x"), 0777));
	say("rmdir a file", rmdir(in_root("input/a.txt")));
	say("unlink what is missing", unlink(in_root("output/none")));
	say("open a directory to write", open(in_root("output"), O_WRONLY));
	say("open what is missing", open(in_root("output/none"), O_RDONLY));
	say("close nothing", close(77));

	FILE *f = fopen(in_root("output/d/numbers"), "w+");
	for (int i = 0; i < 20000; i++)
		fprintf(f, "%d\n", i);
	fseek(f, 100, SEEK_SET);
	printf("at 100: %s", fgets(line, sizeof line, f));
	fseek(f, -6, SEEK_END);
	printf("at the end: %s", fgets(line, sizeof line, f));
	printf("position %ld\n", ftell(f));
	fclose(f);
	struct stat st;
	say("stat", stat(in_root("output/d/numbers"), &st));
	printf("size %lld, directory %d\n", (long long)st.st_size, S_ISDIR(st.st_mode) != 0);
	say("rmdir", rmdir(in_root("output/d")));
	say("truncate", truncate(in_root("output/d/numbers"), 50));
	int fd = open(in_root("output/d/numbers"), O_WRONLY | O_APPEND);
	say("append", (int)write(fd, "appended", 8));
	say("read what is open for writing", (int)read(fd, line, 1));
	say("seek too far back", (int)lseek(fd, -1, SEEK_SET));
	close(fd);
	say("rename", rename(in_root("output/d/numbers"), (snprintf(line, sizeof line, "%s/output/moved", root), line)));
	list("output");
	say("remove", remove(in_root("output/d")));

	time_t before = time(NULL);
	struct timespec wait = {0, 5000000};
	nanosleep(&wait, NULL);
	printf("time goes on %d\n", time(NULL) >= before);
	many_blocks();
	fprintf(stderr, "to stderr\n");
	if (argc > 2 && strcmp(argv[2], "fail") == 0)
		exit(7);
	return 0;
}
