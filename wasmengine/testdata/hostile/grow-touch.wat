;; expect: ok
;; manifest: {"layout":"grow"}
;; Grows memory until there is no more, writes to each page, and ends well: peak memory is the
;; limit.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (local $page i32)
    (block $full
      (loop $again
        (local.set $page (memory.grow (i32.const 1)))
        (br_if $full (i32.eq (local.get $page) (i32.const -1)))
        (i32.store (i32.mul (local.get $page) (i32.const 65536)) (i32.const 1))
        (br $again)))
    (i32.store (i32.const 1024) (i32.const 0))))
