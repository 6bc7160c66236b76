package a64

// Defined reports whether a word is an instruction that is implemented.
func Defined(w uint32) bool { return decode(w, 0).op != opUndefined }

// A Shape is an instruction whose bits in Free may be anything.
type Shape struct{ Word, Free uint32 }

// Shapes are the sequences that are fused, by what they become.
func Shapes() map[op][]Shape {
	const (
		two   = 0x3ff      // Rn, Rd
		three = 0x1f03ff   // Rm, Rn, Rd
		four  = 0x1f7fff   // and Ra
		pair  = 0x7c1f     // two registers that are moved
		imm   = 0x00fc03ff // small immediates too
	)
	ldr, ldrP, ldrR := Shape{0xf9400000, 0x3c1f}, Shape{0xf8408400, 0x1f}, Shape{0xf87f6800, 0x1f}
	add, addI, madd := Shape{0x8b000000, three}, Shape{0x91000000, 0xfc01ff}, Shape{0x9b000000, four}
	addI32 := Shape{0x11000000, 0xfc01ff}
	all := map[op][]Shape{
		opAndsB:           {{0xea00001f, 0x1f03e0}, {0x54000040, 1}},
		opAnds32B:         {{0x6a00001f, 0x1f03e0}, {0x54000040, 1}},
		opAddISubsBne:     {addI, {0xf1000000, 0xfc01ff}, {0x54000041, 0}},
		opLdr64Add:        {ldr, add},
		opLdr64AddI:       {ldr, addI},
		opLdr64PMadd:      {ldrP, madd},
		opAddIMadd:        {addI, madd},
		opLdr64RLdr64R:    {ldrR, ldrR},
		opAddIAddI:        {addI, addI},
		opEorLslEorLsr:    {{0xca000400, three}, {0xca400400, three}},
		opAddLslUbfx:      {{0x8b000400, three}, {0xd341fc00, two}},
		opMovMov:          {{0xaa0003e0, 0x1f001f}, {0xaa0003e0, 0x1f001f}},
		opLdr64Ldr64:      {ldr, ldr},
		opLdr64Ldr64Add:   {ldr, ldr, add},
		opMaddStr64P:      {madd, {0xf8008400, 0x1f}},
		opLdp64Ldp64:      {{0xa9402820, 0x1f}, {0xa9402c20, 0x1f}},
		opStp64SPStp64SP:  {{0xa90003e0, pair}, {0xa90103e0, pair}},
		opAddI32Subs32Bhi: {addI32, {0x71000000, 0xfc01ff}, {0x54000048, 0}},
		opAddI32Subs32Bls: {addI32, {0x71000000, 0xfc01ff}, {0x54000049, 0}},
	}
	for k := range uint8(16) {
		if f := fusedCondition(k); f != 0 {
			all[opSubsBeq+f-1] = []Shape{{0xeb000000, three}, {0x54000040 | uint32(k), 0}}
			all[opSubs32Beq+f-1] = []Shape{{0x71000000, imm}, {0x54000040 | uint32(k), 0}}
		}
	}
	return all
}
