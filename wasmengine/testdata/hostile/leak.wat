;; expect: ok
;; Fails with exit code 1 if any byte of its memory beyond the struct and what the platform
;; placed is not zero, then fills all of it with ones for the next call to find.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (local $at i32) (local $end i32)
    (local.set $end (i32.mul (memory.size) (i32.const 65536)))
    (local.set $at (i32.and (i32.add (i32.load (i32.const 1028)) (i32.const 7)) (i32.const -8)))
    (block $clean
      (loop $bytes
        (br_if $clean (i32.ge_u (local.get $at) (local.get $end)))
        (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
          (then (i32.store (i32.const 1024) (i32.const 1)) (return)))
        (i64.store (local.get $at) (i64.const -1))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $bytes)))
    (i32.store (i32.const 1024) (i32.const 0))))
