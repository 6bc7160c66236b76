;; expect: deadline
;; Copies 32 MiB in one instruction for ever. With a fuel limit: out-of-fuel.
(module
  (memory (export "memory") 1024)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (loop $again
      (memory.copy (i32.const 0) (i32.const 33554432) (i32.const 33554432))
      (br $again))))
