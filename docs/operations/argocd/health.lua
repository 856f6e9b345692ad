-- Health of Sallyport's objects, the same for every kind, as Argo CD judges a Deployment: Healthy when the object is ready
-- for its present generation, Progressing while it is on its way, Degraded when someone has to do something.

-- Reasons of Ready that pass by themselves when something else comes: a pod, an address, a Connector, the Controller.
local waiting = {
  AddressPending = true,
  ControllerUnavailable = true,
  Disconnected = true,
  NoConnector = true,
  NoConnectorReady = true,
  NoRegistration = true,
  NotEnrolled = true,
  NotRegistered = true,
  Pending = true,
}

local function condition(type)
  for _, one in ipairs((obj.status or {}).conditions or {}) do
    if one.type == type then
      return one
    end
  end
  return nil
end

local ready = condition("Ready")
local progressing = condition("Progressing")

if ready == nil then
  return { status = "Progressing", message = "the operator has not looked at it yet" }
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not looked at this generation yet" }
end
if progressing ~= nil and (progressing.reason == "RolloutStuck" or progressing.reason == "Refused") then
  return { status = "Degraded", message = progressing.message }
end
if ready.status ~= "True" then
  return { status = waiting[ready.reason] and "Progressing" or "Degraded", message = ready.message }
end
if progressing ~= nil and progressing.status == "True" then
  return { status = "Progressing", message = progressing.message }
end
return { status = "Healthy", message = ready.message }
