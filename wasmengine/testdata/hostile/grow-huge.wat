;; expect: ok
;; manifest: {"layout":"grow"}
;; Asks for 65,535 pages at once and then for 2^32 - 1, is refused, and ends well.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (if (i32.ne (memory.grow (i32.const 65535)) (i32.const -1)) (then unreachable))
    (if (i32.ne (memory.grow (i32.const -1)) (i32.const -1)) (then unreachable))
    (i32.store (i32.const 1024) (i32.const 0))))
