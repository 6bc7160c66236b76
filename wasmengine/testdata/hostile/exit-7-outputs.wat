;; expect: exit 7
;; Writes exit code 7 with output records that point outside: the exit is reported, the records
;; are not read.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (i32.store (i32.const 1024) (i32.const 7))
    (i32.store (i32.const 1056) (i32.const -16))
    (i32.store offset=20 (i32.load (i32.const 1048)) (i32.const 5))))
