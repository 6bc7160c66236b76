/** What the platform gives a function, as `pappus purify` puts it into the module. */

@external("dandelion", "input_set_count")
export declare function input_set_count(): i32;

@external("dandelion", "input_set_ident")
export declare function input_set_ident(set: u32): usize;

@external("dandelion", "input_set_ident_len")
export declare function input_set_ident_len(set: u32): u32;

@external("dandelion", "input_buffer_count")
export declare function input_buffer_count(set: u32): i32;

@external("dandelion", "get_input")
export declare function get_input(set: u32, item: u32): usize;

@external("dandelion", "output_set_count")
export declare function output_set_count(): i32;

@external("dandelion", "output_set_ident")
export declare function output_set_ident(set: u32): usize;

@external("dandelion", "output_set_ident_len")
export declare function output_set_ident_len(set: u32): u32;

@external("dandelion", "add_output")
export declare function add_output(set: u32, ident: usize, identLen: u32, data: usize, dataLen: u32, key: u32): u32;

@external("wasi_snapshot_preview1", "fd_write")
export declare function fd_write(fd: u32, parts: usize, count: u32, written: usize): u32;
