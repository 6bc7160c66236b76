;; expect: ok
;; A start function writes "start " and _initialize appends "initialize": the output item holds
;; both, and both run once.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (global $runs (mut i32) (i32.const 0))
  (start $begin)
  (func $begin
    (memory.copy (i32.const 2048) (i32.const 3072) (i32.const 6))
    (global.set $runs (i32.add (global.get $runs) (i32.const 1))))
  (func (export "_initialize")
    (memory.copy (i32.const 2054) (i32.const 3078) (i32.const 10))
    (global.set $runs (i32.add (global.get $runs) (i32.const 1))))
  (data (i32.const 3072) "start initialize")
  (func (export "_start")
    (if (i32.ne (global.get $runs) (i32.const 2)) (then unreachable))
    (i32.store (i32.const 4104) (i32.const 2048))
    (i32.store (i32.const 4108) (i32.const 16))
    (i32.store (i32.const 1056) (i32.const 4096))
    (i32.store offset=20 (i32.load (i32.const 1048)) (i32.const 1))
    (i32.store (i32.const 1024) (i32.const 0))))
