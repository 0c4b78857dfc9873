#ifndef CLINUX_H
#define CLINUX_H

#include "CLinuxFile.h"
#include "CLinuxProcess.h"
#include "CLinuxSignal.h"
#include "CLinuxSocket.h"

#endif
