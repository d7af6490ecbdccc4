// In which layout (quant/planar.h) a device should keep matrices of a format: by measurement, here alone.
#include "runtime/kernels/matmul_variant.h"

namespace atlas {

Layout choose_layout(const vk::DeviceCaps&, Format) { return Layout::blocks; }

}  // namespace atlas
