;; expect: rejected-module
;; The export `memory` is a function.
(module
  (memory 1)
  (func (export "memory"))
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")))
