#pragma once
// Device time per label of a recording made with RecorderOptions::profile.

#include <string>
#include <vector>

#include "runtime/vk/recorder.h"

namespace atlas::vk {

struct LabelTime {
    std::string label;
    double ms = 0;
    uint32_t dispatches = 0;
};

/// Times of the recording's last run, summed by label, in order of first use. Labels are separated by barriers when
/// profiling, so the sum is a little longer than an unprofiled run. Fails: unsupported (no timestamps, or not recorded
/// for profiling).
Result<std::vector<LabelTime>> label_times(Device& device, const Recording& recording);

}  // namespace atlas::vk
