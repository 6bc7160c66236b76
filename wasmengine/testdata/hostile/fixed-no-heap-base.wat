;; expect: rejected-module
;; manifest: {"layout":"fixed"}
;; Layout `fixed` without __heap_base.
(module
  (memory (export "memory") 2)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (global (export "__heap_end") i32 (i32.const 131072))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
