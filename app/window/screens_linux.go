//go:build (desktop && production) || dev

package window

/*
#cgo pkg-config: gtk+-3.0
#include <gtk/gtk.h>
#include <errno.h>
#include <semaphore.h>
#include <time.h>

#define MOST 16

// Wails knows the sizes of screens, but not their positions, and can move a window only within its screen.
// GTK may be called only on its own thread.
typedef struct {
	int n;
	GdkRectangle areas[MOST];
	sem_t done;
} Screens;

static gboolean rddLook(gpointer data) {
	Screens *s = data;
	GdkDisplay *display = gdk_display_get_default();
	GdkMonitor *primary = gdk_display_get_primary_monitor(display);
	int all = gdk_display_get_n_monitors(display);
	if (primary != NULL) gdk_monitor_get_workarea(primary, &s->areas[s->n++]);
	for (int i = 0; i < all && s->n < MOST; i++) {
		GdkMonitor *monitor = gdk_display_get_monitor(display, i);
		if (monitor != primary) gdk_monitor_get_workarea(monitor, &s->areas[s->n++]);
	}
	sem_post(&s->done);
	return G_SOURCE_REMOVE;
}

// rddScreens returns NULL if GTK doesn't answer, for example because it ends. It doesn't free the memory then, because GTK
// may still write to it.
static Screens *rddScreens(void) {
	Screens *s = g_new0(Screens, 1);
	struct timespec until;
	sem_init(&s->done, 0, 0);
	g_idle_add(rddLook, s);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	int failed;
	while ((failed = sem_timedwait(&s->done, &until)) != 0 && errno == EINTR) {}
	return failed ? NULL : s;
}

static gboolean rddMoved(gpointer data) {
	GdkRectangle *to = data;
	GList *all = gtk_window_list_toplevels();
	for (GList *w = all; w != NULL; w = w->next) {
		if (gtk_window_get_window_type(w->data) != GTK_WINDOW_TOPLEVEL || gtk_window_get_title(w->data) == NULL) continue;
		gtk_window_resize(w->data, to->width, to->height);
		gtk_window_move(w->data, to->x, to->y);
	}
	g_list_free(all);
	g_free(to);
	return G_SOURCE_REMOVE;
}

static void rddMove(int x, int y, int width, int height) {
	GdkRectangle *to = g_new(GdkRectangle, 1);
	*to = (GdkRectangle){x, y, width, height};
	g_idle_add(rddMoved, to);
}
*/
import "C"

import (
	"context"
	"image"
)

// screens returns the screens without their panels, the primary one first. GTK must be running.
func screens() (all []image.Rectangle) {
	s := C.rddScreens()
	if s == nil {
		return nil
	}
	defer C.g_free(C.gpointer(s))
	for _, area := range s.areas[:s.n] {
		x, y := int(area.x), int(area.y)
		all = append(all, image.Rect(x, y, x+int(area.width), y+int(area.height)))
	}
	return all
}

// move moves the window. Its pixels are those of screens and stored places.
func move(_ context.Context, to image.Rectangle) {
	C.rddMove(C.int(to.Min.X), C.int(to.Min.Y), C.int(to.Dx()), C.int(to.Dy()))
}
