;; expect: rejected-module or ok
;; Layout `dandelion` with a __heap_base far outside of the declared memory: nothing may be
;; placed out of bounds.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (global (export "__heap_base") i32 (i32.const -65536))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 0))))
