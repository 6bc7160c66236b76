;; expect: rejected-module
;; No __dandelion_system_data.
(module
  (memory (export "memory") 1)
  (func (export "_start")
    nop))
