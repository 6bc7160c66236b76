;; expect: deadline
;; Fills 64 MiB in one instruction for ever. With a fuel limit: out-of-fuel.
(module
  (memory (export "memory") 1024)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (loop $again
      (memory.fill (i32.const 0) (i32.const 7) (i32.const 67108864))
      (br $again))))
