;; expect: trap
;; Address and offset add up to more than 2^32.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (drop (i32.load offset=4294967295 (i32.const -1)))))
