;; expect: trap
;; Conversion of NaN to an integer.
(module
  (memory (export "memory") 1)
  (global (export "__dandelion_system_data") i32 (i32.const 1024))
  (func (export "_start")
    (drop (i32.trunc_f64_s (f64.const nan)))))
