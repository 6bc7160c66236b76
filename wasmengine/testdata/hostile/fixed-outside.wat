;; expect: rejected-module
;; manifest: {"layout":"fixed"}
;; Layout `fixed` with a __heap_end outside of the declared memory.
(module
  (memory (export "memory") 2)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (global (export "__heap_base") i32 (i32.const 65536))
  (global (export "__heap_end") i32 (i32.const 262144))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
