;; expect: rejected-module
;; The export `__dandelion_system_data` is a function.
(module
  (memory (export "memory") 1)
  (func (export "__dandelion_system_data"))
  (func (export "_start")
    nop))
