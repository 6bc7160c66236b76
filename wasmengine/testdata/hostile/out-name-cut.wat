;; expect: bad-output
;; The name ends inside a character.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  ;; Ends well: output set 0 has $count items that start at $bufs.
  (func $finish (param $bufs i32) (param $count i32)
    (i32.store (i32.const 1056) (local.get $bufs))
    (i32.store offset=8 (i32.load (i32.const 1048)) (i32.const 0))
    (i32.store offset=20 (i32.load (i32.const 1048)) (local.get $count))
    (i32.store (i32.const 1024) (i32.const 0)))
  ;; Writes item number $index of the array at 4096.
  (func $item (param $index i32) (param $name i32) (param $name_len i32) (param $data i32) (param $data_len i32) (param $key i32)
    (local $at i32)
    (local.set $at (i32.add (i32.const 4096) (i32.mul (local.get $index) (i32.const 20))))
    (i32.store offset=0 (local.get $at) (local.get $name))
    (i32.store offset=4 (local.get $at) (local.get $name_len))
    (i32.store offset=8 (local.get $at) (local.get $data))
    (i32.store offset=12 (local.get $at) (local.get $data_len))
    (i32.store offset=16 (local.get $at) (local.get $key)))
  (data (i32.const 2048) "a\c3")
  (func (export "_start")
    (call $item (i32.const 0) (i32.const 2048) (i32.const 2) (i32.const 2048) (i32.const 2) (i32.const 0))
    (call $finish (i32.const 4096) (i32.const 1))))
