package brick

// Object is the generic part of a request: the aspects that bricks attach.
// The zero value is ready; an object reused for another request keeps the
// memory of its aspects.
type Object struct {
	aspects []aspect
}

type aspect struct {
	owner *Brick
	data  any
}

// AspectOf returns brick b's private part of the object, of type T. On first
// use it is made, zero; when the object is reused for another request the
// brick finds what it left there the last time and resets it itself.
func AspectOf[T any](o *Object, b *Brick) *T {
	for i := range o.aspects {
		if o.aspects[i].owner == b {
			return o.aspects[i].data.(*T)
		}
	}
	t := new(T)
	o.aspects = append(o.aspects, aspect{owner: b, data: t})
	return t
}

// DropAspects forgets all aspects: for objects that move to another graph.
func (o *Object) DropAspects() { clear(o.aspects); o.aspects = o.aspects[:0] }
