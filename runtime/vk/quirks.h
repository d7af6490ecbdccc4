#pragma once
// What is known about devices and drivers beyond what they report. Pure data from pure data; quirks.cpp is the only
// file of runtime/vk that names vendors.

#include <string>
#include <vector>

#include "runtime/vk/caps.h"

namespace atlas::vk {

struct Quirks {
    double budget_fraction = 1.0;      // of the budget that the driver reports
    uint64_t budget_margin_bytes = 0;  // stays free below the budget for the desktop and the driver's own use
    uint64_t max_slab_bytes = 0;       // largest VkDeviceMemory that we ask for
    double submission_limit_ms = 100;  // estimated cost at which a submission is cut
    uint32_t max_dispatches = 200;     // per submission
    double gflops = 0;                 // lower bound for any of our kernels; for cutting only
    double gbps = 0;                   // the same for bytes read and written
    bool slow = false;                 // a software device
    bool last_resort = false;          // works, but any other device of its class or below is preferred
    std::string rejected;              // a driver known to be broken: why, and from which version it works
    std::vector<std::string> notes;    // for `devices`: what was worked around
};

Quirks quirks_for(const DeviceCaps& caps);

}  // namespace atlas::vk
