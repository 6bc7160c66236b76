;; expect: rejected-module
;; manifest: {"layout":"fixed"}
;; Layout `fixed` with __heap_end before __heap_base.
(module
  (memory (export "memory") 2)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (global (export "__heap_base") i32 (i32.const 131072))
  (global (export "__heap_end") i32 (i32.const 65536))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
