#pragma once
// The measured limits of a device, which kernels are compared with.

#include <string>
#include <string_view>

#include "runtime/base/error.h"

namespace atlas::bench {

struct DeviceLimits {
    double copy_gb_per_s = 0;       // vkCmdCopyBuffer of large buffers: bytes read plus bytes written
    double read_gb_per_s = 0;       // a kernel that only reads
    double fma_tflop_per_s = 0;     // f32 multiply-adds in registers
    double matrix_tflop_per_s = 0;  // cooperative matrices, f16 in and f32 out; 0: the device has none
    /// The limit of kernels that are bound by arithmetic.
    double peak_tflop_per_s() const {
        return matrix_tflop_per_s > fma_tflop_per_s ? matrix_tflop_per_s : fma_tflop_per_s;
    }
};

/// `wish`: as for choose_device. Takes under two seconds on a card; software devices get smaller work. Fails:
/// no_device, out_of_memory, device_lost.
Result<DeviceLimits> measure_limits(std::string_view wish);

}  // namespace atlas::bench
