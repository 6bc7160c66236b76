;; expect: ok or rejected-module
;; The struct lies at an odd address.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1025))
  (func (export "_start")
    (i32.store align=1 (i32.const 1025) (i32.const 0))))
