;; expect: trap
;; Writes four bytes of which two lie past the end of a full 4 GiB address space.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const -2) (i32.const 1))))
