package qemu

import "github.com/lima-vm/lima/pkg/limayaml"

// The test guests count down from 100 million and then end QEMU. Hardware does that in a tenth of a
// second. A KVM that executes every instruction in software needs minutes.

const romSize = 64 << 10

// romX86 is what an x86 processor executes first: 16 bytes below the end of the ROM, in real mode.
var romX86 = []byte{
	0xE9, 0xED, 0xFF, // jmp 16 bytes before the reset vector
}

// loopX86 stands right before the reset vector.
var loopX86 = []byte{
	0x66, 0xB9, 0x00, 0xE1, 0xF5, 0x05, // mov ecx, 100000000
	0x66, 0x49, // dec ecx
	0x75, 0xFC, // jnz back to dec
	0xB0, 0x10, // mov al, 0x10
	0xE6, 0xF4, // out 0xf4, al: isa-debug-exit ends QEMU with 2*0x10+1
	0xF4, // hlt
}

// romARM begins at the start of the ROM.
var romARM = []byte{
	0x00, 0x20, 0x9C, 0xD2, // mov x0, #0xE100
	0xA0, 0xBE, 0xA0, 0xF2, // movk x0, #0x05F5, lsl #16
	0x00, 0x04, 0x00, 0xF1, // subs x0, x0, #1
	0xE1, 0xFF, 0xFF, 0x54, // b.ne to subs
	0x00, 0x01, 0x80, 0x52, // mov w0, #8
	0x00, 0x80, 0xB0, 0x72, // movk w0, #0x8400, lsl #16: PSCI SYSTEM_OFF
	0x02, 0x00, 0x00, 0xD4, // hvc #0
}

// romFor returns the test guest for an architecture.
func romFor(arch limayaml.Arch) []byte {
	rom := make([]byte, romSize)
	if arch != limayaml.X8664 {
		copy(rom, romARM)
		return rom
	}
	reset := romSize - 16
	copy(rom[reset:], romX86)
	copy(rom[reset-16:], loopX86)
	return rom
}

// romExit is QEMU's exit code when the test guest ends it.
func romExit(arch limayaml.Arch) int {
	if arch == limayaml.X8664 {
		return 2*0x10 + 1
	}
	return 0
}
