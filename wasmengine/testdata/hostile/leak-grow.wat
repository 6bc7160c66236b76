;; expect: ok
;; manifest: {"layout":"grow"}
;; The same for pages that it grows: each must be zero.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (local $at i32) (local $end i32) (local $page i32)
    (loop $pages
      (local.set $page (memory.grow (i32.const 1)))
      (if (i32.eq (local.get $page) (i32.const -1))
        (then (i32.store (i32.const 1024) (i32.const 0)) (return)))
      (local.set $at (i32.mul (local.get $page) (i32.const 65536)))
      (local.set $end (i32.add (local.get $at) (i32.const 65536)))
      (loop $bytes
        (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
          (then (i32.store (i32.const 1024) (i32.const 1)) (return)))
        (i64.store (local.get $at) (i64.const -1))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $bytes (i32.lt_u (local.get $at) (local.get $end))))
      (br $pages))))
