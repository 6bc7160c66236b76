// checksums makes SHA-256 checksums of files, and compares them with lists of such.
//
// sums has one item, SHA256SUMS: a line for each item of files in the form of
// sha256sum, which is 64 hexadecimal digits, two blanks and the name, by name.
// Each item of expected is such a list (a * in place of the second blank will do):
// every file that it names must be there and have that checksum.
//
// It is an ordinary program for WASI: sets are directories.
//
// Exit codes, with the reasons on stderr: 1, a file is missing or has another checksum;
// 2, a list is none.
const std = @import("std");

const Sha256 = std.crypto.hash.sha2.Sha256;
const Sum = [2 * Sha256.digest_length]u8;
const Sums = std.StringArrayHashMap(Sum);

const separator = 2; // the bytes between a checksum and a name

pub fn main() !u8 {
    var arena = std.heap.ArenaAllocator.init(std.heap.wasm_allocator);
    const allocator = arena.allocator();
    const root = std.fs.cwd();
    const stderr = std.io.getStdErr().writer();

    var sums = Sums.init(allocator);
    for (try namesIn(allocator, root, "files")) |name| {
        try sums.put(name, try sumOf(root, try std.fs.path.join(allocator, &.{ "files", name })));
    }

    var wrong: usize = 0;
    for (try namesIn(allocator, root, "expected")) |list| {
        const text = try root.readFileAlloc(allocator, try std.fs.path.join(allocator, &.{ "expected", list }), std.math.maxInt(u32));
        var lines = std.mem.splitScalar(u8, text, '\n');
        var number: usize = 0;
        while (lines.next()) |line_end| {
            number += 1;
            const line = std.mem.trimRight(u8, line_end, "\r");
            if (line.len == 0) continue;
            const entry = parse(line) orelse {
                try stderr.print("checksums: {s}, line {d}: no checksum and name\n", .{ list, number });
                return 2;
            };
            if (sums.get(entry.name)) |sum| {
                if (std.mem.eql(u8, &sum, &entry.sum)) continue;
                try stderr.print("{s}: has another checksum\n", .{entry.name});
            } else {
                try stderr.print("{s}: is missing\n", .{entry.name});
            }
            wrong += 1;
        }
    }
    if (wrong > 0) return 1;

    const file = try root.createFile("sums/SHA256SUMS", .{});
    defer file.close();
    var buffered = std.io.bufferedWriter(file.writer());
    var it = sums.iterator();
    while (it.next()) |entry| {
        try buffered.writer().print("{s}  {s}\n", .{ entry.value_ptr, entry.key_ptr.* });
    }
    try buffered.flush();
    return 0;
}

/// The names of the files below a directory, in order.
fn namesIn(allocator: std.mem.Allocator, root: std.fs.Dir, set: []const u8) ![]const []const u8 {
    var dir = try root.openDir(set, .{ .iterate = true });
    defer dir.close();
    var walker = try dir.walk(allocator);
    var names = std.ArrayList([]const u8).init(allocator);
    while (try walker.next()) |entry| {
        if (entry.kind == .file) try names.append(try allocator.dupe(u8, entry.path));
    }
    std.mem.sort([]const u8, names.items, {}, struct {
        fn lessThan(_: void, a: []const u8, b: []const u8) bool {
            return std.mem.lessThan(u8, a, b);
        }
    }.lessThan);
    return names.items;
}

fn sumOf(root: std.fs.Dir, path: []const u8) !Sum {
    const file = try root.openFile(path, .{});
    defer file.close();
    var hash = Sha256.init(.{});
    var buffer: [4096]u8 = undefined;
    while (true) {
        const n = try file.read(&buffer);
        if (n == 0) return std.fmt.bytesToHex(hash.finalResult(), .lower);
        hash.update(buffer[0..n]);
    }
}

const Entry = struct { sum: Sum, name: []const u8 };

/// The checksum and the name of a line of a list, or null.
fn parse(line: []const u8) ?Entry {
    if (line.len <= @typeInfo(Sum).Array.len + separator) return null;
    var sum: Sum = undefined;
    for (&sum, line[0..sum.len]) |*to, digit| {
        if (!std.ascii.isHex(digit)) return null;
        to.* = std.ascii.toLower(digit);
    }
    if (line[sum.len] != ' ' or line[sum.len + 1] != ' ' and line[sum.len + 1] != '*') return null;
    return .{ .sum = sum, .name = line[sum.len + separator ..] };
}
