#pragma once

// Include before hwy/foreach_target.h. AVX3_DL would only double compile time here, and the older ones are
// rare: AVX-512, AVX2, NEON and the portable baseline remain.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_AVX3_DL | HWY_SSSE3 | HWY_SSE4)
