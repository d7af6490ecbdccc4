#pragma once
// Devices whose work does not finish. What they own must stay until the process ends, and the process must end without
// exit handlers: the driver's threads may still run kernels, and the libraries' exit handlers would free what those
// use. This is process-wide state, like the memory that is never freed.

#include <memory>

namespace atlas::vk {

/// Keeps the object until the process ends. Thread: any.
void abandon(std::shared_ptr<void> object);

/// Whether anything was abandoned: then leave by std::_Exit, after all output has been written. Thread: any.
bool any_abandoned();

}  // namespace atlas::vk
