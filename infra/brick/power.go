package brick

import "fmt"

// Button, On, Off and ForcedOff tell the state of the power switch.
func (b *Brick) Button() bool    { return b.button }
func (b *Brick) On() bool        { return b.ledOn }
func (b *Brick) Off() bool       { return b.ledOff }
func (b *Brick) ForcedOff() bool { return b.forcedOff }

// Press sets the button. An unchanged button is pressed again without checks:
// Worker.Switch is called so that a brick may go on with what it waits for.
func (b *Brick) Press(on bool) error {
	if on != b.button {
		if err := b.mayPress(on); err != nil {
			return fmt.Errorf("switch %v %s: %w", b, onOff(on), err)
		}
		b.button = on
	}
	b.worker.Switch(on)
	return nil
}

func (b *Brick) mayPress(on bool) error {
	if on {
		if b.forcedOff {
			return ErrForcedOff
		}
		for i := range b.inputs {
			if p := b.inputs[i].peer; p != nil && !p.Brick.ledOn {
				return fmt.Errorf("%w: %v", ErrPredecessor, p.Brick)
			}
		}
		return nil
	}
	for i := range b.outputs {
		for _, w := range b.outputs[i].wires {
			if !w.Brick.ledOff {
				return fmt.Errorf("%w: %v", ErrConsumer, w.Brick)
			}
		}
	}
	return nil
}

// ForceOff presses the button off for good, whatever the consumers do; the
// brick can never be switched on again. For removal of what broke.
func (b *Brick) ForceOff() {
	b.forcedOff, b.button = true, false
	b.worker.Switch(false)
}

// SetOn and SetOff light or clear an LED; the worker calls them.
func (b *Brick) SetOn(lit bool)  { b.setLEDs(lit, b.ledOff && !lit) }
func (b *Brick) SetOff(lit bool) { b.setLEDs(b.ledOn && !lit, lit) }

func (b *Brick) setLEDs(on, off bool) {
	if on && off {
		panic("brick: both LEDs of " + b.String() + " lit")
	}
	if on == b.ledOn && off == b.ledOff {
		return
	}
	b.ledOn, b.ledOff = on, off
	for _, fn := range b.onLED {
		fn()
	}
}

// OnLED adds a function called after every change of an LED. Strategy's.
func (b *Brick) OnLED(fn func()) { b.onLED = append(b.onLED, fn) }

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
